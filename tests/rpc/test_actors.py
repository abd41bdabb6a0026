"""On whose behalf a call is made: changes and versions of memories say it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.changes_pb2 import (
    CHANGE_KIND_MEMORY_EXPIRED,
    Change,
    ListChangesRequest,
)
from palimpsest.v1.filter_pb2 import Filter, MatchCondition
from service.core.actors import ACTOR, MAX_ACTOR
from service.rpc.access import ACCESS
from tests.client import Client, refused
from tests.inprocess import ManualClock, Service
from tests.rpc.asks import MESSAGE, SECRET, TWIN, Things, furnish
from tests.rpc.conftest import Connect

ANN: Final = "chat:ann"

Make = Callable[[Things], Message]

WRITES: Final[dict[str, list[Make]]] = {
    "Documents.UpsertDocument": [
        lambda t: d.UpsertDocumentRequest(content="new"),
        lambda t: d.UpsertDocumentRequest(content="again", custom_id=t.custom_id),
    ],
    "Documents.BatchUpsertDocuments": [
        lambda t: d.BatchUpsertDocumentsRequest(
            items=[
                d.UpsertDocumentRequest(content="new"),
                d.UpsertDocumentRequest(content="again", custom_id=t.custom_id),
            ]
        )
    ],
    "Documents.UpdateDocument": [lambda t: d.UpdateDocumentRequest(id=t.document, title="new")],
    "Documents.DeleteDocument": [lambda t: d.DeleteDocumentRequest(id=t.document)],
    "Documents.BulkDeleteDocuments": [
        lambda t: d.BulkDeleteDocumentsRequest(ids=[t.document]),
        # One document leaves the container, another is deleted, which write changes in two ways.
        lambda t: d.BulkDeleteDocumentsRequest(container_tags=["vault"]),
    ],
    "Documents.AppendMessages": [
        lambda t: d.AppendMessagesRequest(id="talk", messages=[MESSAGE], create_if_missing=True)
    ],
    "Memories.CreateMemories": [
        lambda t: m.CreateMemoriesRequest(
            memories=[m.NewMemory(content="one"), m.NewMemory(content="two")]
        )
    ],
    "Memories.UpdateMemory": [lambda t: m.UpdateMemoryRequest(id=t.memory, new_content="new")],
    "Memories.ForgetMemory": [lambda t: m.ForgetMemoryRequest(id=t.memory)],
    "Memories.RestoreMemory": [lambda t: m.RestoreMemoryRequest(id=t.forgotten)],
    "Memories.ForgetMemories": [
        lambda t: m.ForgetMemoriesRequest(ids=[t.memory]),
        lambda t: m.ForgetMemoriesRequest(
            filter=Filter(match=MatchCondition(key="k", negate=True))
        ),
        lambda t: m.ForgetMemoriesRequest(query=SECRET, min_score=0.1),
    ],
    "Memories.RestoreMemories": [lambda t: m.RestoreMemoriesRequest(forget_batch_id=t.batch)],
    "Memories.DeleteMemory": [lambda t: m.DeleteMemoryRequest(id=t.memory)],
    "Containers.DeleteContainer": [lambda t: c.DeleteContainerRequest(container_tag="vault")],
}
"""Requests of every RPC that writes, each of which makes changes."""


async def call(client: Client, name: str, request: Message, *actors: str) -> Any:
    """The answer of an RPC that is called with these actors."""
    service, _, method = name.partition(".")
    stub = getattr(getattr(client, service.lower()), method)
    return await stub(request, metadata=[(ACTOR, actor) for actor in actors])


async def changes(client: Client, **fields: Any) -> list[Change]:
    request = ListChangesRequest(page_size=1000, **fields)
    return list((await client.changes.ListChanges(request)).changes)


def test_every_call_that_writes_is_tried() -> None:
    prefix = "palimpsest.v1."
    writing = {name.removeprefix(prefix) for name, access in ACCESS.items() if access.writes}
    assert WRITES.keys() == writing


@pytest.mark.parametrize(
    ("name", "make"), [(name, make) for name, makes in WRITES.items() for make in makes]
)
async def test_each_change_of_a_call_has_its_actor(client: Client, name: str, make: Make) -> None:
    things = await furnish(client)
    before = await changes(client)
    assert {change.actor for change in before} == {""}

    await call(client, name, make(things), ANN)

    made = await changes(client, after_revision=before[-1].revision)
    assert made
    assert {change.actor for change in made} == {ANN}
    assert await changes(client) == [*before, *made]


async def test_a_purge_names_the_actor_of_what_it_deletes_and_detaches(client: Client) -> None:
    things = await furnish(client)
    last = (await changes(client))[-1].revision
    await call(
        client,
        "Documents.BulkDeleteDocuments",
        d.BulkDeleteDocumentsRequest(container_tags=["vault"]),
        ANN,
    )
    made = await changes(client, after_revision=last)
    assert things.document in {change.id for change in made}
    assert len(made) == 2
    assert {change.actor for change in made} == {ANN}
    kept = await client.get(TWIN, "default")
    assert kept.container_tags == ["default"]


async def test_each_version_of_a_memory_has_its_own_actor(client: Client) -> None:
    create = m.CreateMemoriesRequest(memories=[m.NewMemory(content="Ann likes tea")])
    created = await call(client, "Memories.CreateMemories", create, "one")
    first = created.receipts[0].id
    update = m.UpdateMemoryRequest(id=first, new_content="Ann likes green tea")
    updated = await call(client, "Memories.UpdateMemory", update, "two")
    assert updated.version.actor == "two"
    second = updated.receipt.id
    third = await client.memories.UpdateMemory(
        m.UpdateMemoryRequest(id=second, new_content="Ann likes black tea")
    )
    name = third.receipt.id
    # These write no version.
    await call(client, "Memories.ForgetMemory", m.ForgetMemoryRequest(id=name), "three")
    await call(client, "Memories.RestoreMemory", m.RestoreMemoryRequest(id=name), "four")

    chain = await client.memories.ListMemoryVersions(m.ListMemoryVersionsRequest(id=first))
    assert [version.actor for version in chain.memories] == ["", "two", "one"]
    assert [(await client.memory(one)).actor for one in (first, second, name)] == ["one", "two", ""]
    listed = await client.remembered(include_history=True)
    assert {memory.id: memory.actor for memory in listed} == {first: "one", second: "two", name: ""}
    of_feed = [change.actor for change in await changes(client)]
    assert of_feed == ["one", "two", "", "three", "four"]


async def test_what_is_found_and_read_of_the_past_has_it_too(
    client: Client, clock: ManualClock
) -> None:
    trait = m.NewMemory(content="Ann likes tea", is_static=True)
    create = m.CreateMemoriesRequest(memories=[trait])
    created = await call(client, "Memories.CreateMemories", create, ANN)
    first = created.receipts[0].id
    found = await client.memories.SearchMemories(m.SearchMemoriesRequest(query="tea"))
    assert [hit.memory.actor for hit in found.hits] == [ANN]
    profile = await client.memories.GetProfile(m.GetProfileRequest())
    assert [memory.actor for memory in profile.static_memories] == [ANN]
    then = clock.tick()
    await client.memories.UpdateMemory(m.UpdateMemoryRequest(id=first, new_content="Ann left"))
    past = await client.remembered(as_of=then)
    assert [memory.actor for memory in past] == [ANN]


async def test_a_repeated_call_keeps_the_first_actor(client: Client) -> None:
    request = m.CreateMemoriesRequest(
        memories=[m.NewMemory(content="x")], request_id=str(uuid.uuid4())
    )
    first = await call(client, "Memories.CreateMemories", request, "one")
    assert await call(client, "Memories.CreateMemories", request, "two") == first
    assert await call(client, "Memories.CreateMemories", request) == first
    update = m.UpdateMemoryRequest(
        id=first.receipts[0].id, new_content="y", request_id=str(uuid.uuid4())
    )
    await call(client, "Memories.UpdateMemory", update)
    again = await call(client, "Memories.UpdateMemory", update, "three")

    assert again.version.actor == ""
    assert [change.actor for change in await changes(client)] == ["one", ""]


async def test_what_the_service_does_by_itself_has_none(
    client: Client, clock: ManualClock, service: Service
) -> None:
    soon = m.NewMemory(content="x", forget_after=clock.stamp(60))
    create = m.CreateMemoriesRequest(memories=[soon])
    await call(client, "Memories.CreateMemories", create, ANN)
    clock.advance(120)
    await service.store.sweep()
    [expired] = await changes(client, kinds=[CHANGE_KIND_MEMORY_EXPIRED])
    assert (expired.actor, expired.key_id) == ("", "")


async def test_the_actor_stays_in_the_feed_of_what_was_deleted(
    client: Client, service: Service
) -> None:
    create = m.CreateMemoriesRequest(container_tag="a", memories=[m.NewMemory(content="x")])
    await call(client, "Memories.CreateMemories", create, ANN)
    await client.containers.DeleteContainer(c.DeleteContainerRequest(container_tag="a"))
    await service.store.redact()
    assert [change.actor for change in await changes(client)] == [ANN, "", ""]


@pytest.mark.parametrize("actors", [("",), ("x" * (MAX_ACTOR + 1),), ("one", "other")])
async def test_what_can_be_no_actor_is_refused_and_nothing_is_done(
    client: Client, actors: tuple[str, ...]
) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await call(
            client, "Documents.UpsertDocument", d.UpsertDocumentRequest(content="x"), *actors
        )
    assert refusal.fields == [ACTOR]
    # A call that reads takes the same metadata.
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await call(client, "Changes.ListChanges", ListChangesRequest(), *actors)
    assert await changes(client) == []


async def test_an_actor_may_be_given_twice_and_have_all_characters(client: Client) -> None:
    printable = "".join(map(chr, range(0x20, 0x7F)))
    actor = printable + "x" * (MAX_ACTOR - len(printable))
    upsert = d.UpsertDocumentRequest(content="x")
    await call(client, "Documents.UpsertDocument", upsert, actor, actor)
    assert [change.actor for change in await changes(client)] == [actor]


async def test_keys_and_containers_are_looked_at_first(connect: Connect) -> None:
    upsert = d.UpsertDocumentRequest(content="x", container_tags=["a"])
    async with connect(key=None) as stranger:
        with refused(StatusCode.UNAUTHENTICATED, "KEY_MISSING"):
            await call(stranger, "Documents.UpsertDocument", upsert, "")
    async with connect(containers=["b"]) as limited:
        with refused(StatusCode.PERMISSION_DENIED, "CONTAINER_NOT_ALLOWED"):
            await call(limited, "Documents.UpsertDocument", upsert, "")
