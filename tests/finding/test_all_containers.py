"""Lists and searches that name no container: they are about all that the key may see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.client import Client, connected, refused
from tests.finding.service_harness import ServiceHarness

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MOST = 100

ASKS: dict[str, Callable[[Client], Any]] = {
    "ListDocuments": lambda client: client.documents.ListDocuments(d.ListDocumentsRequest()),
    "SearchDocuments": lambda client: client.documents.SearchDocuments(
        d.SearchDocumentsRequest(query="quinces")
    ),
    "ListMemories": lambda client: client.memories.ListMemories(m.ListMemoriesRequest()),
    "SearchMemories": lambda client: client.memories.SearchMemories(
        m.SearchMemoriesRequest(query="quinces")
    ),
}


@asynccontextmanager
async def limited_to(harness: ServiceHarness, *containers: str) -> AsyncIterator[Client]:
    async with connected(
        harness.service.address, harness.service.create_key(containers=containers)
    ) as key:
        yield key


async def furnish(harness: ServiceHarness) -> None:
    """Three documents, of which one is in two containers, and a memory in each of three."""
    for text, tags in (("sour", ["x"]), ("sweet", ["y", "x"]), ("ripe", ["z"])):
        await harness.client.put(f"quinces are {text}", container_tags=tags, wait=True)
    for tag in ("x", "y", "z"):
        await harness.client.remember(f"Ann likes quinces of {tag}", container=tag)


async def test_they_find_what_is_in_any_container_once(any_harness: ServiceHarness) -> None:
    harness = any_harness
    await furnish(harness)

    chunks = await harness.texts("quinces")
    assert sorted(chunks) == ["quinces are ripe", "quinces are sour", "quinces are sweet"]
    named = await harness.search(
        "quinces", container_tags=["z", "y", "x"], include_score_parts=True
    )
    assert await harness.search("quinces", include_score_parts=True) == named
    memories = await harness.memories("quinces", include_score_parts=True, include_chunks=True)
    assert len(memories) == 6
    tags = ["x", "y", "z"]
    assert memories == await harness.memories(
        "quinces", container_tags=tags, include_score_parts=True, include_chunks=True
    )
    assert {one.container_tag for one in await harness.client.remembered()} == {"x", "y", "z"}
    assert await harness.client.remembered() == await harness.client.remembered(container_tags=tags)
    assert len(await harness.client.ids()) == 3


async def test_a_limited_key_lists_and_finds_what_is_in_its_own(harness: ServiceHarness) -> None:
    await furnish(harness)
    async with limited_to(harness, "x", "unused") as limited:
        listed = (await ASKS["ListDocuments"](limited)).documents
        assert [list(document.container_tags) for document in listed] == [["x"], ["x"]]
        found = (await ASKS["SearchDocuments"](limited)).hits
        texts = sorted(chunk.chunk.text for hit in found for chunk in hit.chunks)
        assert texts == ["quinces are sour", "quinces are sweet"]
        (memory,) = (await ASKS["ListMemories"](limited)).memories
        assert memory.container_tag == "x"
        (hit,) = (await ASKS["SearchMemories"](limited)).hits
        assert hit.memory == memory


async def test_what_is_elsewhere_changes_no_score_of_a_limited_key(harness: ServiceHarness) -> None:
    await furnish(harness)
    async with limited_to(harness, "x") as limited:
        before = [(await ask(limited)) for ask in ASKS.values()]
        for number in range(20):
            await harness.client.remember(f"quinces {number}", container="z")
            await harness.client.put(f"quinces {number}", container_tags=["z"])
        await harness.idle()
        after = [(await ask(limited)) for ask in ASKS.values()]
    for one in (*before, *after):
        one.revision = 0
    assert before == after


async def test_where_nothing_is_yet_nothing_is_found(harness: ServiceHarness) -> None:
    async with limited_to(harness, "x", "y") as limited:
        for client in (harness.client, limited):
            for ask in ASKS.values():
                answer = await ask(client)
                assert not [*getattr(answer, "hits", ()), *getattr(answer, "documents", ())]
                assert not list(getattr(answer, "memories", ()))
        # What another container has is nothing to it, while its own are empty.
        await harness.client.put("quinces", container_tags=["z"], wait=True)
        await harness.client.remember("quinces", container="z")
        assert not (await ASKS["ListDocuments"](limited)).documents
        assert not (await ASKS["SearchDocuments"](limited)).hits
        assert not (await ASKS["ListMemories"](limited)).memories
        assert not (await ASKS["SearchMemories"](limited)).hits


async def test_more_than_a_hundred_containers_have_to_be_named(harness: ServiceHarness) -> None:
    for number in range(MOST):
        await harness.client.remember(f"quinces {number}", container=f"user:{number}")
    for ask in ASKS.values():
        await ask(harness.client)
    assert len(await harness.client.remembered()) == MOST

    await harness.client.remember("one more", container="other")
    for ask in ASKS.values():
        with refused(INVALID, "INVALID_REQUEST") as refusal:
            await ask(harness.client)
        assert refusal.fields == ["container_tags"]
    named = m.SearchMemoriesRequest(query="one more", container_tags=["other", "user:7"])
    assert (await harness.client.memories.SearchMemories(named)).hits
    # Those that a limited key may not see do not count.
    async with limited_to(harness, "user:7", "other") as limited:
        for ask in ASKS.values():
            await ask(limited)

    await harness.client.containers.DeleteContainer(c.DeleteContainerRequest(container_tag="other"))
    assert len(await harness.client.remembered()) == MOST


async def test_what_is_about_one_container_is_about_the_default_one(
    harness: ServiceHarness,
) -> None:
    await furnish(harness)
    (receipt,) = await harness.client.remember("Ann likes medlars")
    assert (await harness.client.memory(receipt.id)).container_tag == "default"
    made = await harness.client.put("medlars")
    assert (await harness.client.get(made.id)).container_tags == ["default"]
    profile = await harness.client.memories.GetProfile(m.GetProfileRequest())
    assert [memory.id for memory in profile.recent_memories] == [receipt.id]
