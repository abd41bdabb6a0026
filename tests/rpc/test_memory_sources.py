"""`source_document_id` tells of a document only to keys that may see it."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc import StatusCode

from palimpsest.v1.common_pb2 import LIST_ORDER_UPDATED_DESC
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


async def sourced(client: Client, source: str, **fields: Any) -> list[str]:
    """The contents of the memories that came from a document."""
    listed = await client.remembered(
        container_tags=[CONTAINER], source_document_id=source, **fields
    )
    return [memory.content for memory in listed]


async def test_memories_are_listed_by_the_document_they_came_from(client: Client) -> None:
    first = await client.put(container_tags=[CONTAINER])
    second = await client.put(container_tags=[CONTAINER])
    made = await client.remember(
        NewMemory(content="one", source_document_id=first.id),
        NewMemory(content="two", source_document_id=first.id),
        NewMemory(content="other", source_document_id=second.id),
        "from nowhere",
        container=CONTAINER,
    )
    await client.remember(NewMemory(content="elsewhere", source_document_id=first.id))
    then = (await client.memory(made[-1].id, container_tag=CONTAINER)).create_time
    await client.memories.UpdateMemory(
        UpdateMemoryRequest(container_tag=CONTAINER, id=made[0].id, new_content="uno")
    )

    for page_size in (1, 50):
        assert await sourced(client, first.id, page_size=page_size) == ["two", "uno"]
        assert await sourced(client, second.id, page_size=page_size) == ["other"]
    assert await sourced(client, first.id, order=LIST_ORDER_UPDATED_DESC) == ["uno", "two"]
    assert await sourced(client, first.id, as_of=then) == ["two", "one"]
    history = await sourced(client, first.id, include_history=True)
    assert sorted(history) == ["one", "two", "uno"]
    both = await client.remembered(
        container_tags=[CONTAINER, "default"], source_document_id=first.id
    )
    assert {memory.content for memory in both} == {"two", "uno", "elsewhere"}
    assert await sourced(client, "doc_0000000000000000000000") == []


async def test_a_document_that_the_key_may_not_see_is_the_source_of_nothing(
    client: Client, connect: Connect
) -> None:
    source = await client.put(container_tags=["vault"])
    new = NewMemory(content="one", source_document_id=source.id)
    await client.remember(new, container=CONTAINER)

    assert await sourced(client, source.id) == ["one"]
    async with connect(containers=[CONTAINER]) as limited:
        assert await sourced(limited, source.id) == []
        assert await sourced(limited, source.id, include_forgotten=True) == []
    async with connect(containers=[CONTAINER, "vault"]) as wider:
        assert await sourced(wider, source.id) == ["one"]
    async with connect(tenant="other") as other:
        assert await sourced(other, source.id) == []

    await client.documents.DeleteDocument(DeleteDocumentRequest(id=source.id))
    assert await sourced(client, source.id) == []


async def test_a_source_to_list_by_is_the_id_of_a_document(client: Client) -> None:
    (memory,) = await client.remember("one")
    for text in (memory.id, "a custom id"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
            await sourced(client, text)
        assert refusal.fields == ["source_document_id"]
