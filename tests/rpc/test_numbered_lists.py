"""Lists by page number: the pages of the list, and totals that tell no more than it does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from palimpsest.v1.common_pb2 import ListOrder
from palimpsest.v1.documents_pb2 import (
    DOCUMENT_STATUS_DONE,
    DOCUMENT_STATUS_QUEUED,
    ListDocumentsRequest,
    ListDocumentsResponse,
    UpdateDocumentRequest,
)
from palimpsest.v1.memories_pb2 import (
    ForgetMemoryRequest,
    ListMemoriesRequest,
    ListMemoriesResponse,
    NewMemory,
    UpdateMemoryRequest,
)
from service.core.errors import PalimpsestError, Reason
from service.core.model import Principal
from service.rpc.calls import CallInfo
from service.rpc.numbered import PAGE_BYTES, NumberedLists, page_bytes
from tests.client import Client, struct
from tests.inprocess import ManualClock, Service

ORDERS = [number for number in ListOrder.values() if number]


@dataclass
class Lists:
    """The numbered lists of one key."""

    service: Service
    key: str

    async def _call(self, method: str) -> tuple[NumberedLists, CallInfo]:
        principal: Principal = await self.service.store.keys.authenticate(self.key)
        path = f"/palimpsest.v1.{method}"
        return NumberedLists(self.service.store), CallInfo(path, principal)

    async def documents(
        self, number: int = 1, size: int = 100, **fields: Any
    ) -> tuple[ListDocumentsResponse, int]:
        lists, call = await self._call("Documents/ListDocuments")
        return await lists.documents(call, ListDocumentsRequest(**fields), number, size)

    async def memories(
        self, number: int = 1, size: int = 100, **fields: Any
    ) -> tuple[ListMemoriesResponse, int]:
        lists, call = await self._call("Memories/ListMemories")
        return await lists.memories(call, ListMemoriesRequest(**fields), number, size)

    async def every_document(self, size: int, **fields: Any) -> tuple[list[str], int]:
        """All pages one after the other, and the total that each of them says."""
        found: list[str] = []
        number = 0
        while True:
            number += 1
            page, total = await self.documents(number, size, **fields)
            assert len(page.documents) == max(0, min(size, total - len(found)))
            assert page.next_page_token == ""
            if not page.documents:
                return found, total
            found += [document.id for document in page.documents]

    async def every_memory(self, size: int, **fields: Any) -> tuple[list[str], int]:
        found: list[str] = []
        number = 0
        while True:
            number += 1
            page, total = await self.memories(number, size, **fields)
            assert len(page.memories) == max(0, min(size, total - len(found)))
            if not page.memories:
                return found, total
            found += [memory.id for memory in page.memories]


@pytest.fixture
def lists_of(service: Service) -> Callable[..., Lists]:
    def lists_of(**key: Any) -> Lists:
        return Lists(service, service.create_key(**key))

    return lists_of


@pytest.fixture
def lists(lists_of: Callable[..., Lists]) -> Lists:
    return lists_of()


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"container_tags": ["a"]},
        {"container_tags": ["a", "b"]},
        {"container_tags": ["a", "b"], "match_all_containers": True},
        {"container_tags": ["a", "never"], "custom_id_prefix": "n"},
        {"statuses": [DOCUMENT_STATUS_DONE]},
        {"container_tags": ["b"], "filter": {"match": {"key": "odd", "value": "true"}}},
    ],
)
async def test_the_pages_of_documents_are_the_list_in_its_order(
    client: Client, lists: Lists, scope: dict[str, Any]
) -> None:
    for n in range(9):
        tags = (["a"], ["b"], ["a", "b"])[n % 3]
        await client.put(
            f"text {n}", custom_id=f"n{n}", container_tags=tags, metadata={"odd": bool(n % 2)}
        )
    await client.put("elsewhere", container_tags=["c"])
    await client.put("written again", custom_id="n1")

    for order, size in itertools.product(ORDERS, (1, 2, 100)):
        expected = await client.ids(order=order, **scope)
        assert await lists.every_document(size, order=order, **scope) == (expected, len(expected))


@pytest.mark.parametrize("then", [False, True])
@pytest.mark.parametrize(
    "scope",
    [
        {"container_tags": ["a"]},
        {"container_tags": ["a", "b"]},
        {"container_tags": ["a"], "include_forgotten": True},
        {"container_tags": ["a", "b"], "include_forgotten": True, "include_history": True},
        {"container_tags": ["a"], "filter": {"match": {"key": "odd", "value": "true"}}},
    ],
)
async def test_the_pages_of_memories_are_the_list_in_its_order(
    client: Client,
    lists: Lists,
    clock: ManualClock,
    then: bool,
    scope: dict[str, Any],
) -> None:
    made = []
    for n in range(8):
        new = NewMemory(content=f"fact {n}", metadata=struct({"odd": bool(n % 2)}))
        if n == 6:
            new.forget_after.CopyFrom(clock.stamp(60))
        made += await client.remember(new, container=("a", "b")[n // 7])
    await client.memories.UpdateMemory(
        UpdateMemoryRequest(container_tag="a", id=made[1].id, new_content="another")
    )
    await client.memories.ForgetMemory(ForgetMemoryRequest(container_tag="a", id=made[3].id))
    past = clock.tick()
    clock.advance(120)
    if then:
        scope = {**scope, "as_of": past}

    for order, size in itertools.product(ORDERS, (1, 3, 100)):
        expected = [memory.id for memory in await client.remembered(order=order, **scope)]
        assert await lists.every_memory(size, order=order, **scope) == (expected, len(expected))


async def test_what_is_forgotten_expired_or_superseded_is_not_counted(
    client: Client, lists: Lists, clock: ManualClock
) -> None:
    soon = NewMemory(content="soon over", forget_after=clock.stamp(60))
    kept, updated, forgotten, _ = await client.remember("kept", "old", "forgotten", soon)
    assert (await lists.memories(size=1))[1] == 4

    await client.memories.UpdateMemory(UpdateMemoryRequest(id=updated.id, new_content="new"))
    await client.memories.ForgetMemory(ForgetMemoryRequest(id=forgotten.id))
    assert (await lists.memories(size=1))[1] == 3

    clock.advance(61)
    page, total = await lists.memories()
    assert total == 2
    assert [memory.content for memory in page.memories] == ["new", "kept"]
    assert (await client.memory(kept.id)).content == "kept"


async def test_a_limited_key_counts_what_it_may_see(
    client: Client, lists_of: Callable[..., Lists]
) -> None:
    limited, other = lists_of(containers=["a"]), lists_of(tenant="other")
    for tags in (["a"], ["a", "b"], ["b"], ["c"]):
        await client.put(container_tags=tags)
        await client.remember("fact", container=tags[-1])

    page, total = await limited.documents(size=1)
    assert total == 2
    assert [list(document.container_tags) for document in page.documents] == [["a"]]
    assert (await limited.documents(number=2, size=1))[1] == 2
    assert (await limited.memories(container_tags=["a"]))[1] == 1
    assert (await limited.memories())[1] == 1
    assert (await lists_of().memories())[1] == 4
    assert (await other.documents())[1] == 0
    assert (await other.memories(container_tags=["a"]))[1] == 0
    for tags in (["b"], ["a", "b"]):
        with pytest.raises(PalimpsestError) as refusal:
            await limited.documents(container_tags=tags)
        assert refusal.value.reason is Reason.CONTAINER_NOT_ALLOWED
        with pytest.raises(PalimpsestError) as refusal:
            await limited.memories(container_tags=tags)
        assert refusal.value.reason is Reason.CONTAINER_NOT_ALLOWED


async def test_a_limited_key_does_not_see_sources_elsewhere(
    client: Client, lists_of: Callable[..., Lists]
) -> None:
    source = await client.put(container_tags=["b"])
    await client.remember(NewMemory(content="fact", source_document_id=source.id), container="a")

    mine, _ = await lists_of(containers=["a"]).memories(container_tags=["a"])
    all_of_it, _ = await lists_of().memories(container_tags=["a"])

    assert mine.memories[0].source_document_id == ""
    assert all_of_it.memories[0].source_document_id == source.id


async def test_a_page_after_the_last_is_empty_and_has_the_total(
    client: Client, lists: Lists
) -> None:
    await client.put()
    await client.remember("fact")

    documents, total = await lists.documents(number=1000)
    assert (list(documents.documents), total) == ([], 1)
    assert documents.revision == 2
    memories, total = await lists.memories(number=2, size=1)
    assert (list(memories.memories), total) == ([], 1)
    assert memories.revision == 2


@pytest.mark.parametrize(
    ("number", "size", "field"),
    [
        (0, 10, "page"),
        (-1, 10, "page"),
        (1, 0, "limit"),
        (1, -1, "limit"),
        (1, 1001, "limit"),
        (10_001, 10, "page"),
        (2**70, 1, "page"),
        (1, 2**70, "limit"),
    ],
)
async def test_numbers_out_of_bounds_are_refused_by_name(
    lists: Lists, number: int, size: int, field: str
) -> None:
    for call in (lists.documents, lists.memories):
        with pytest.raises(PalimpsestError) as refusal:
            await call(number, size)
        assert refusal.value.reason is Reason.INVALID_REQUEST
        assert [violation.field for violation in refusal.value.violations] == [field]
    assert (await lists.documents(10_000, 10))[1] == 0


async def test_what_a_request_breaks_is_reported_with_its_numbers(lists: Lists) -> None:
    with pytest.raises(PalimpsestError) as refusal:
        await lists.documents(0, 10, container_tags=["not a tag"])
    assert [violation.field for violation in refusal.value.violations] == [
        "container_tags[0]",
        "page",
    ]


async def test_a_page_that_is_too_large_is_refused_and_a_smaller_one_is_not(
    client: Client, lists: Lists
) -> None:
    for n in range(17):
        await client.put(str(n) + "x" * 1_000_000)
    assert (await lists.documents())[1] == 17

    with pytest.raises(PalimpsestError) as refusal:
        await lists.documents(include_content=True)
    assert [violation.field for violation in refusal.value.violations] == ["limit"]

    page, total = await lists.documents(2, 10, include_content=True)
    assert total == 17
    assert [document.content[0] for document in page.documents] == list("6543210")


async def test_content_and_metadata_are_those_of_the_list(client: Client, lists: Lists) -> None:
    await client.put("the text", metadata={"a": 1})
    await client.documents.UpdateDocument(
        UpdateDocumentRequest(id=(await client.put("second", custom_id="s")).id, title="Title")
    )

    asked: list[dict[str, Any]] = [{}, {"include_content": True}]
    for fields in asked:
        page, _ = await lists.documents(**fields)
        listed = await client.documents.ListDocuments(ListDocumentsRequest(**fields))
        assert page.documents == listed.documents
    assert page.documents[0].status == DOCUMENT_STATUS_QUEUED


async def test_memories_by_source_are_counted_where_the_source_may_be_seen(
    client: Client, lists_of: Callable[..., Lists]
) -> None:
    source = await client.put(container_tags=["b"])
    new = [NewMemory(content=f"fact {n}", source_document_id=source.id) for n in range(3)]
    await client.remember(*new, "another", container="a")
    fields = {"container_tags": ["a"], "source_document_id": source.id}

    page, total = await lists_of().memories(2, 2, **fields)
    assert ([memory.content for memory in page.memories], total) == (["fact 0"], 3)
    page, total = await lists_of(containers=["a"]).memories(1, 2, **fields)
    assert (list(page.memories), total) == ([], 0)


@pytest.mark.parametrize(
    ("asked", "item"),
    [
        (ListDocumentsRequest(), 40_000),
        (ListDocumentsRequest(include_content=True), 1_000_000),
        (ListMemoriesRequest(), 80_000),
    ],
)
def test_what_is_reserved_for_a_page_grows_with_it_up_to_the_most_that_it_can_have(
    asked: ListDocumentsRequest | ListMemoriesRequest, item: int
) -> None:
    assert page_bytes(asked, -1) == page_bytes(asked, 0) == 0
    assert item <= page_bytes(asked, 1) <= 1.2 * item
    assert page_bytes(asked, 5) == 5 * page_bytes(asked, 1)
    assert page_bytes(asked, 1000) == page_bytes(asked, 2**70) == PAGE_BYTES
