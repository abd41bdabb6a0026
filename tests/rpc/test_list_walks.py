"""Lists that are read page by page while everything in them changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from grpc import StatusCode

from palimpsest.v1.common_pb2 import (
    LIST_ORDER_CREATED_ASC,
    LIST_ORDER_CREATED_DESC,
    LIST_ORDER_UPDATED_ASC,
    LIST_ORDER_UPDATED_DESC,
    ListOrder,
)
from palimpsest.v1.containers_pb2 import ListContainersRequest
from palimpsest.v1.documents_pb2 import DeleteDocumentRequest, UpdateDocumentRequest
from palimpsest.v1.memories_pb2 import (
    ForgetMemoryRequest,
    ListMemoriesRequest,
    ListMemoryVersionsRequest,
    RestoreMemoryRequest,
    UpdateMemoryRequest,
)
from service.core import pages
from tests.client import Client, refused

pytestmark = pytest.mark.slow

MOST_PAGES = 60
BY_CREATION = [LIST_ORDER_CREATED_ASC, LIST_ORDER_CREATED_DESC]
BY_UPDATE = [LIST_ORDER_UPDATED_ASC, LIST_ORDER_UPDATED_DESC]


@dataclass
class Memories:
    """Memories by their roots, and what happens to them between pages."""

    client: Client
    latest: dict[str, str]

    async def update(self, step: int) -> None:
        for root, name in self.latest.items():
            answer = await self.client.memories.UpdateMemory(
                UpdateMemoryRequest(id=name, container_tag="a", new_content=f"{root} {step}")
            )
            self.latest[root] = answer.receipt.id

    async def forget_and_restore(self, step: int) -> None:
        for name in self.latest.values():
            await self.client.memories.ForgetMemory(ForgetMemoryRequest(id=name, container_tag="a"))
            await self.client.memories.RestoreMemory(
                RestoreMemoryRequest(id=name, container_tag="a")
            )

    async def all_of_it(self, step: int) -> None:
        await self.forget_and_restore(step)
        await self.update(step)
        if step < 3:
            await self.client.remember(f"new {step}", container="a")


async def memories(client: Client, count: int = 8) -> Memories:
    made = await client.remember(*(f"m{n}" for n in range(count)), container="a")
    return Memories(client, {receipt.id: receipt.id for receipt in made})


async def walk(
    ask: Callable[[Any], Awaitable[Any]],
    request: Any,
    between: Callable[[int], Awaitable[None]],
    size: int = 1,
) -> list[Any]:
    """Everything listed, with a change between any two pages."""
    request.page_size = size
    found: list[Any] = []
    for step in range(MOST_PAGES):
        page = await ask(request)
        found.extend(next((items for kind, items in page.ListFields() if kind.is_repeated), ()))
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
        await between(step)
    raise AssertionError(f"the list does not end: {len(found)} items in {MOST_PAGES} pages")


@pytest.mark.parametrize("change", ["update", "forget_and_restore", "all_of_it"])
@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("order", BY_CREATION)
async def test_memories_are_listed_once_each_while_all_of_them_change(
    client: Client, order: ListOrder.ValueType, size: int, forgotten: bool, change: str
) -> None:
    there = await memories(client)
    request = ListMemoriesRequest(container_tags=["a"], order=order, include_forgotten=forgotten)

    found = await walk(client.memories.ListMemories, request, getattr(there, change), size)

    roots = list(there.latest) if order == LIST_ORDER_CREATED_ASC else list(there.latest)[::-1]
    listed = [memory.root_memory_id for memory in found]
    assert [root for root in listed if root in there.latest] == roots
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("order", BY_CREATION)
async def test_a_history_that_grows_is_listed_to_its_end(
    client: Client, order: ListOrder.ValueType
) -> None:
    there = await memories(client, 3)
    await there.update(0)
    first = {
        memory.id for memory in await client.remembered(container_tags=["a"], include_history=True)
    }
    request = ListMemoriesRequest(container_tags=["a"], order=order, include_history=True)

    found = await walk(client.memories.ListMemories, request, there.all_of_it)

    listed = [memory.id for memory in found if memory.root_memory_id in there.latest]
    assert len(listed) == len(set(listed)) == 6
    assert set(listed) == first


@pytest.mark.parametrize("order", BY_UPDATE)
async def test_by_update_no_memory_is_listed_twice_and_what_moved_is_left_out(
    client: Client, order: ListOrder.ValueType
) -> None:
    there = await memories(client)
    request = ListMemoriesRequest(container_tags=["a"], order=order)

    found = await walk(client.memories.ListMemories, request, there.all_of_it)

    assert len(found) == 1


@pytest.mark.parametrize("order", [*BY_CREATION, *BY_UPDATE])
async def test_a_past_that_is_listed_stands_still(
    client: Client, order: ListOrder.ValueType
) -> None:
    there = await memories(client)
    await there.update(0)
    known = await client.remembered(container_tags=["a"], order=order)
    request = ListMemoriesRequest(container_tags=["a"], order=order)
    request.as_of.FromDatetime(max(m.create_time.ToDatetime() for m in known))

    found = await walk(client.memories.ListMemories, request, there.all_of_it)

    assert [memory.id for memory in found] == [memory.id for memory in known]


async def test_versions_are_listed_once_each_while_there_are_more(client: Client) -> None:
    there = await memories(client, 1)
    (root,) = there.latest
    for step in range(4):
        await there.update(step)
    request = ListMemoryVersionsRequest(id=root, container_tag="a")

    found = await walk(client.memories.ListMemoryVersions, request, there.all_of_it)

    assert [memory.version for memory in found] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("order", BY_CREATION)
@pytest.mark.parametrize("scope", [[], ["a", "b", "c"]])
async def test_documents_are_listed_once_each_while_they_move_and_more_are_created(
    client: Client, order: ListOrder.ValueType, size: int, scope: list[str]
) -> None:
    there = [
        (await client.put(f"d{n}", custom_id=f"d{n}", container_tags=["ab"[n % 2]])).id
        for n in range(6)
    ]

    async def change(step: int) -> None:
        for number, name in enumerate(there):
            await client.documents.UpdateDocument(
                UpdateDocumentRequest(id=name, container_tags=["abc"[(number + step) % 3]])
            )
        await client.documents.DeleteDocument(DeleteDocumentRequest(id="again", allow_missing=True))
        await client.put("again", custom_id="again", container_tags=["b"])

    await client.put("again", custom_id="again", container_tags=["b"])

    seen: list[str] = []
    step = 0
    async for page in client.pages(order=order, page_size=size, container_tags=scope):
        seen.extend(document.id for document in page)
        step += 1
        assert step < MOST_PAGES, "the list does not end"
        await change(step)

    expected = there if order == LIST_ORDER_CREATED_ASC else there[::-1]
    assert [name for name in seen if name in there] == expected
    assert len(seen) == len(set(seen))


async def test_containers_are_listed_once_each_while_they_come_and_go(client: Client) -> None:
    for tag in "bdf":
        await client.put("text", custom_id=tag, container_tags=[tag])

    async def change(step: int) -> None:
        await client.put("text", container_tags=["aceg"[step % 4]])

    found = await walk(client.containers.ListContainers, ListContainersRequest(), change)

    tags = [container.container_tag for container in found]
    assert tags == sorted(set(tags))
    assert set("bdf") <= set(tags)


async def test_a_page_token_of_an_older_format_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await memories(client, 3)
    request = ListMemoriesRequest(container_tags=["a"], page_size=1)
    monkeypatch.setattr(pages, "_FORMAT", b"")
    request.page_token = (await client.memories.ListMemories(request)).next_page_token
    monkeypatch.undo()

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await client.memories.ListMemories(request)
