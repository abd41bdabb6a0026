"""Containers: counted, listed, deleted."""

from __future__ import annotations

from typing import Any

from grpc import StatusCode

from palimpsest.v1.common_pb2 import COMPLETION_COMPLETE
from palimpsest.v1.containers_pb2 import (
    Container,
    DeleteContainerRequest,
    DeleteContainerResponse,
    ListContainersRequest,
)
from palimpsest.v1.documents_pb2 import DeleteDocumentRequest
from palimpsest.v1.memories_pb2 import ForgetMemoryRequest, UpdateMemoryRequest
from tests.client import Client, refused


async def listed(client: Client, **fields: Any) -> list[Container]:
    request, found = ListContainersRequest(**fields), list[Container]()
    while True:
        page = await client.containers.ListContainers(request)
        found.extend(page.containers)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def counts(client: Client) -> dict[str, tuple[int, int]]:
    return {c.container_tag: (c.document_count, c.memory_count) for c in await listed(client)}


async def delete(client: Client, tag: str, **fields: Any) -> DeleteContainerResponse:
    request = DeleteContainerRequest(container_tag=tag, **fields)
    return await client.containers.DeleteContainer(request)


async def test_the_first_write_makes_a_container_and_it_stays_when_empty(client: Client) -> None:
    assert await listed(client) == []
    made = await client.put(container_tags=["docs"])
    await client.remember("x", container="mems")
    await client.documents.DeleteDocument(DeleteDocumentRequest(id=made.id))

    assert await counts(client) == {"docs": (0, 0), "mems": (0, 1)}


async def test_reading_makes_no_container(client: Client) -> None:
    await client.ids(container_tags=["never"])
    await client.remembered(container_tags=["never"])

    assert await listed(client) == []


async def test_counts_are_of_documents_and_of_latest_remembered_memories(client: Client) -> None:
    for _ in range(2):
        await client.put(container_tags=["a"])
    await client.put(container_tags=["a", "b"])
    made = await client.remember("one", "two", "three", container="a")
    await client.memories.UpdateMemory(
        UpdateMemoryRequest(container_tag="a", id=made[0].id, new_content="one again")
    )
    await client.memories.ForgetMemory(ForgetMemoryRequest(container_tag="a", id=made[1].id))

    assert await counts(client) == {"a": (3, 2), "b": (1, 0)}


async def test_containers_are_listed_by_tag_in_pages_and_by_prefix(client: Client) -> None:
    for tag in ("user_2", "user_1", "user-3", "user:a@b.c/d", "project"):
        await client.put(container_tags=[tag])

    tags = [container.container_tag for container in await listed(client, page_size=2)]

    assert tags == sorted(tags)
    assert len(tags) == 5
    prefixed = await listed(client, prefix="user_", page_size=1)
    assert [container.container_tag for container in prefixed] == ["user_1", "user_2"]


async def test_deleting_a_container_takes_its_documents_and_memories(client: Client) -> None:
    only = await client.put(container_tags=["a"])
    both = await client.put(container_tags=["a", "b"])
    made = await client.remember("one", "two", container="a")
    await client.memories.ForgetMemory(ForgetMemoryRequest(container_tag="a", id=made[0].id))

    answer = await delete(client, "a")

    assert (answer.deleted_document_count, answer.detached_count) == (1, 1)
    assert answer.deleted_memory_count == 2
    assert answer.container_deleted
    assert answer.completion == COMPLETION_COMPLETE
    assert await counts(client) == {"b": (1, 0)}
    assert (await client.get(both.id)).container_tags == ["b"]
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await client.get(only.id)
    with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
        await client.memory(made[0].id, container_tag="a")


async def test_deleting_can_be_tried_without_effect(client: Client) -> None:
    only = await client.put(container_tags=["a"])
    await client.put(container_tags=["a", "b"])
    await client.remember("one", container="a")

    answer = await delete(client, "a", validate_only=True)

    assert (answer.deleted_document_count, answer.detached_count) == (1, 1)
    assert answer.deleted_memory_count == 1
    assert answer.sample_ids == [only.id]
    assert await counts(client) == {"a": (2, 1), "b": (1, 0)}


async def test_deleting_a_missing_container_is_not_found_unless_allowed(client: Client) -> None:
    with refused(StatusCode.NOT_FOUND, "CONTAINER_NOT_FOUND"):
        await delete(client, "nothing")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await delete(client, "")

    assert refusal.fields == ["container_tag"]
    answer = await delete(client, "nothing", allow_missing=True)
    assert answer.deleted_document_count == 0
