"""Calls of both clients on a server in a process of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import palimpsest
from palimpsest import services
from palimpsest.calls import Method
from palimpsest.v1.changes_pb2 import (
    CHANGE_KIND_DOCUMENT_CREATED,
    CHANGE_KIND_MEMORY_CREATED,
    Change,
)
from palimpsest.v1.documents_pb2 import DOCUMENT_STATUS_DONE
from service.app import running
from service.rpc import contract
from tests.harness import Server
from tests.rpc.test_tls import PEM, settings
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.processes

USER = "user_7"


@pytest.fixture
def client(shared_server: Server, key: str) -> Iterator[palimpsest.Client]:
    with palimpsest.connect(shared_server.address, key, timeout=HANG_SECONDS) as connected:
        yield connected


def connect_async(server: Server, key: str) -> palimpsest.AsyncClient:
    return palimpsest.connect_async(server.address, key, timeout=HANG_SECONDS)


def test_memories(client: palimpsest.Client) -> None:
    created = client.memories.create(USER, ["Ada drinks her tea black.", "Ada plays the cello."])
    hits = client.memories.search("How does Ada like her tea?", container_tags=[USER]).hits
    assert hits[0].memory.content == "Ada drinks her tea black."

    client.memories.update(
        USER, id=created.receipts[0].id, new_content="Ada takes milk.", metadata={"cups": 2}
    )

    versions = list(client.memories.iterate_versions(USER, created.receipts[0].id, page_size=1))
    assert [memory.version for memory in versions] == [2, 1]
    assert palimpsest.to_dict(versions[0].metadata) == {"cups": 2}
    assert "Ada takes milk." in client.memories.get_profile(USER).text


def test_documents(client: palimpsest.Client) -> None:
    receipt = client.documents.upsert(
        "The harbour lights were lit at dusk.",
        custom_id="log",
        container_tags="docs",
        metadata={"page": 4},
        wait=True,
    ).receipt
    assert (receipt.custom_id, receipt.status) == ("log", DOCUMENT_STATUS_DONE)

    document = client.documents.get("log").document
    hits = client.documents.search("harbour", container_tags=["docs"]).hits
    states = list(client.documents.watch("log"))

    assert palimpsest.to_dict(document.metadata) == {"page": 4}
    assert [hit.document.id for hit in hits] == [receipt.id]
    assert [state.document.status for state in states] == [DOCUMENT_STATUS_DONE]


def test_pages_are_one_iterator(client: palimpsest.Client) -> None:
    texts = [f"Fact {number}." for number in range(7)]
    client.memories.create(USER, texts)

    found = client.memories.iterate(container_tags=[USER], page_size=3)

    assert sorted(memory.content for memory in found) == texts


async def test_changes_are_gone_through_by_revision(shared_server: Server, key: str) -> None:
    with palimpsest.connect(shared_server.address, key, timeout=HANG_SECONDS) as client:
        for number in range(5):
            client.memories.create(USER, f"Fact {number}.")
        last = client.changes.list().latest_revision
        client.memories.create("another", "Not asked for.")

        seen = list(client.changes.iterate(container_tags=USER, page_size=2))
        later = list(client.changes.iterate(after_revision=last))
    async with connect_async(shared_server, key) as twin:
        same = [change async for change in twin.changes.iterate(container_tags=USER, page_size=2)]

    assert [change.kind for change in seen] == [CHANGE_KIND_MEMORY_CREATED] * 5
    assert [change.revision for change in seen] == sorted({change.revision for change in seen})
    assert [list(change.container_tags) for change in later] == [["another"]]
    assert same == seen
    assert all(change.request_id for change in seen)


async def test_the_server_hears_on_whose_behalf_a_call_is_made(
    shared_server: Server, key: str
) -> None:
    with palimpsest.connect(
        shared_server.address, key, timeout=HANG_SECONDS, actor="one"
    ) as client:
        client.memories.create(USER, "Fact.")
        client.memories.create(USER, "Fact.", actor="two")
        client.documents.upsert("The harbour lights.", actor="")
    async with palimpsest.connect_async(
        shared_server.address, key, timeout=HANG_SECONDS, actor="three"
    ) as twin:
        made = await twin.memories.create(USER, "Fact.")
        await twin.memories.create(USER, "Fact.", actor="four")
        with pytest.raises(palimpsest.InvalidRequestError, match="palimpsest-actor"):
            await twin.memories.create(USER, "Fact.", actor="x" * 201)
        of_version = (await twin.memories.get(USER, made.receipts[0].id)).memory.actor
        kinds = [CHANGE_KIND_MEMORY_CREATED, CHANGE_KIND_DOCUMENT_CREATED]
        heard = [change.actor async for change in twin.changes.iterate(kinds=kinds)]

    assert heard == ["one", "two", "", "three", "four"]
    assert of_version == "three"


async def test_changes_are_watched(shared_server: Server, key: str) -> None:
    async with connect_async(shared_server, key) as twin:
        watching = twin.changes.watch(container_tags=USER)
        assert not (await anext(watching)).changes
        await twin.memories.create(USER, ["one", "two"])
        seen = list[Change]()
        async for message in watching:
            seen += message.changes
            if len(seen) == 2:
                break
        assert [change.kind for change in seen] == [CHANGE_KIND_MEMORY_CREATED] * 2

    with palimpsest.connect(shared_server.address, key) as client:
        message = next(client.changes.watch(after_revision=0, container_tags=USER))
        assert list(message.changes) == seen
        assert message.revision == message.latest_revision == seen[-1].revision


async def test_the_asyncio_client_does_the_same(shared_server: Server, key: str) -> None:
    texts = [f"Fact {number}." for number in range(7)]
    async with connect_async(shared_server, key) as client:
        await client.memories.create(USER, texts)
        await client.documents.upsert("The harbour lights.", custom_id="log", wait=True)

        found = [m.content async for m in client.memories.iterate(page_size=3)]
        states = [state async for state in client.documents.watch("log")]
        with pytest.raises(palimpsest.NotFoundError):
            await client.documents.get("nothing")

    assert sorted(found) == texts
    assert states[-1].document.status == DOCUMENT_STATUS_DONE


def test_exceptions_say_what_a_program_can_act_on(
    client: palimpsest.Client, shared_server: Server
) -> None:
    with pytest.raises(palimpsest.NotFoundError) as missing:
        client.documents.get("nothing")
    assert (missing.value.code, missing.value.reason) == (
        grpc.StatusCode.NOT_FOUND,
        "DOCUMENT_NOT_FOUND",
    )

    with pytest.raises(palimpsest.InvalidRequestError) as invalid:
        client.memories.create("not a tag", ["", "fine"])
    assert [violation.field for violation in invalid.value.violations] == [
        "container_tag",
        "memories[0].content",
    ]

    first = client.memories.create(USER, "one").receipts[0].id
    client.memories.update(USER, id=first, new_content="two")
    with pytest.raises(palimpsest.PreconditionError) as stale:
        client.memories.update(USER, id=first, new_content="three")
    assert stale.value.reason == "MEMORY_NOT_LATEST"
    assert stale.value.metadata

    client.documents.upsert("text", custom_id="once")
    with pytest.raises(palimpsest.ConflictError) as taken:
        client.documents.upsert("text", custom_id="once", mode=2)  # type: ignore[arg-type]
    assert taken.value.reason == "CUSTOM_ID_EXISTS"

    with (
        palimpsest.connect(shared_server.address, "pal_no_key") as stranger,
        pytest.raises(palimpsest.AuthenticationError) as unknown,
    ):
        stranger.containers.list(timeout=HANG_SECONDS)
    assert unknown.value.reason == "KEY_INVALID"


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with (
        palimpsest.connect("127.0.0.1:1", "key", timeout=0.5) as client,
        pytest.raises(palimpsest.UnavailableError, match="no connection"),
    ):
        client.containers.list()


async def test_a_server_that_is_not_there_is_unavailable_for_asyncio() -> None:
    async with palimpsest.connect_async("127.0.0.1:1", "key", timeout=0.5) as client:
        with pytest.raises(palimpsest.UnavailableError, match="no connection"):
            await client.containers.list()


class _Recorder:
    """Calls that are noted instead of made."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, set[str]]] = []

    def unary(self, method: Method[Any, Any], fields: dict[str, Any], *more: object) -> None:
        self.seen.append((method.path, set(fields)))

    def stream(self, method: Method[Any, Any], fields: dict[str, Any], *more: object) -> None:
        self.seen.append((method.path, set(fields)))

    def pages(self, *arguments: object) -> None:
        """Those are of methods that are noted as themselves."""


@pytest.mark.parametrize("prefix", ["", "Async"])
def test_every_method_of_the_contract_can_be_called(prefix: str) -> None:
    recorder = _Recorder()
    for service in contract.SERVICES:
        made = getattr(services, prefix + service.name)(recorder)
        for name, method in inspect.getmembers(made, inspect.ismethod):
            if not name.startswith("_"):
                method()

    assert dict(recorder.seen) == {
        f"/{service.full_name}/{method.name}": {field.name for field in method.input_type.fields}
        for service in contract.SERVICES
        for method in service.methods
    }


def test_both_clients_have_the_same_methods() -> None:
    for service in contract.SERVICES:
        synchronous = getattr(services, service.name)
        twin = getattr(services, f"Async{service.name}")
        for name, method in inspect.getmembers(synchronous, inspect.isfunction):
            if name != "__init__":
                ours, its = inspect.signature(method), inspect.signature(getattr(twin, name))
                assert ours.parameters == its.parameters


async def test_a_server_with_tls(tmp_path: Path) -> None:
    authorities = (PEM / "ca.pem").read_bytes()
    async with running(settings(tmp_path / "data", client_ca=False)) as service:
        key = service.first_key or ""

        def create() -> int:
            with palimpsest.connect(service.address, key, tls=authorities) as client:
                return len(client.memories.create(USER, "tea", timeout=HANG_SECONDS).receipts)

        assert await asyncio.to_thread(create) == 1
        async with palimpsest.connect_async(service.address, key, tls=authorities) as twin:
            assert len((await twin.memories.list(timeout=HANG_SECONDS)).memories) == 1
        strange = (PEM / "clients.pem").read_bytes()
        async with palimpsest.connect_async(service.address, key, tls=strange) as twin:
            with pytest.raises(palimpsest.UnavailableError, match="no connection"):
                await twin.containers.list(timeout=0.5)
