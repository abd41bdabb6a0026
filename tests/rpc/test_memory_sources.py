"""`source_document_id` tells of a document only to keys that may see it."""

from __future__ import annotations

import asyncio

from grpc import StatusCode

from palimpsest.v1.documents_pb2 import DeleteDocumentRequest, UpdateDocumentRequest
from palimpsest.v1.memories_pb2 import (
    CreateMemoriesRequest,
    GetMemoryRequest,
    GetProfileRequest,
    ListMemoriesRequest,
    ListMemoryVersionsRequest,
    Memory,
    NewMemory,
    SearchMemoriesRequest,
    UpdateMemoryRequest,
)
from tests.client import Client, refused
from tests.rpc.conftest import Connect

CONTAINER = "shared"
CALLS = (
    "GetMemory",
    "ListMemories",
    "ListMemories as of then",
    "ListMemoryVersions",
    "SearchMemories",
    "GetProfile",
    "GetProfile of a query",
)


async def answers(client: Client, memory_id: str) -> dict[str, list[Memory]]:
    """The memories that each call answers."""
    calls, tags = client.memories, [CONTAINER]
    get = await calls.GetMemory(GetMemoryRequest(container_tag=CONTAINER, id=memory_id))
    listed = await calls.ListMemories(
        ListMemoriesRequest(container_tags=tags, include_history=True)
    )
    past = await calls.ListMemories(
        ListMemoriesRequest(container_tags=tags, as_of=get.memory.create_time)
    )
    versions = await calls.ListMemoryVersions(
        ListMemoryVersionsRequest(container_tag=CONTAINER, id=memory_id)
    )
    found = await calls.SearchMemories(SearchMemoriesRequest(container_tags=tags, query="quinces"))
    profile = await calls.GetProfile(GetProfileRequest(container_tag=CONTAINER))
    asked = await calls.GetProfile(
        GetProfileRequest(container_tag=CONTAINER, query="quinces", limit=1)
    )
    answered = (
        [get.memory],
        list(listed.memories),
        list(past.memories),
        list(versions.memories),
        [hit.memory for hit in found.hits],
        [*profile.static_memories, *profile.recent_memories],
        [hit.memory for hit in asked.hits],
    )
    return dict(zip(CALLS, answered, strict=True))


async def told(client: Client, memory_id: str) -> set[tuple[str, str]]:
    """The calls, each with every source that it names; "" for none."""
    answered = await answers(client, memory_id)
    assert all(answered.values()), answered
    return {
        (call, memory.source_document_id) for call, found in answered.items() for memory in found
    }


def each_tells(source: str) -> set[tuple[str, str]]:
    return {(call, source) for call in CALLS}


async def test_a_source_is_named_to_the_keys_that_may_see_it_alone(
    client: Client, connect: Connect
) -> None:
    source = await client.put("quinces", container_tags=["hidden"])
    (first,) = await client.remember(
        NewMemory(content="Ann likes quinces", source_document_id=source.id), container=CONTAINER
    )
    updated = await client.memories.UpdateMemory(
        UpdateMemoryRequest(
            container_tag=CONTAINER, id=first.id, new_content="Ann likes quinces a lot"
        )
    )
    name = updated.receipt.id
    # Newer, so that a profile of one finds the other by the query.
    await client.remember(
        NewMemory(content="Ben drinks cider", source_document_id=source.id), container=CONTAINER
    )

    async with (
        connect(containers=[CONTAINER]) as limited,
        connect(containers=[CONTAINER, "hidden"]) as wider,
    ):
        assert await told(client, name) == each_tells(source.id)
        assert await told(limited, name) == each_tells("")
        assert await told(wider, name) == each_tells(source.id)
        # Reads of several keys that are served together.
        read = await asyncio.gather(
            *(one.memory(name, container_tag=CONTAINER) for one in (client, limited, wider))
        )
        assert [memory.source_document_id for memory in read] == [source.id, "", source.id]

        await client.documents.UpdateDocument(
            UpdateDocumentRequest(id=source.id, container_tags=["hidden", CONTAINER])
        )
        assert await told(limited, name) == each_tells(source.id)

        await client.documents.DeleteDocument(DeleteDocumentRequest(id=source.id))
        assert await told(client, name) == each_tells("")


async def test_a_source_that_a_key_may_not_see_is_refused_like_one_that_is_not_there(
    client: Client, connect: Connect
) -> None:
    hidden = await client.put("quinces", custom_id="hidden-note", container_tags=["hidden"])
    said = []
    async with connect(containers=[CONTAINER]) as limited:
        for name in (hidden.id, "hidden-note", "doc_" + "0" * 22, "no-such-note"):
            request = CreateMemoriesRequest(
                container_tag=CONTAINER,
                memories=[NewMemory(content="x", source_document_id=name)],
            )
            with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND") as refusal:
                await limited.memories.CreateMemories(request)
            said.append(refusal)
    assert said == said[:1] * len(said)
