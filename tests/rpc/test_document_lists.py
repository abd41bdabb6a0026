"""Lists of documents: scope, order and pages."""

from __future__ import annotations

import asyncio
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
from palimpsest.v1.documents_pb2 import (
    DOCUMENT_STATUS_DONE,
    DOCUMENT_STATUS_QUEUED,
    BatchUpsertDocumentsRequest,
    BulkDeleteDocumentsRequest,
    ListDocumentsRequest,
    ListDocumentsResponse,
    UpsertDocumentRequest,
)
from tests.client import Client, refused, struct

ORDERS = [
    (LIST_ORDER_CREATED_ASC, ["a", "b", "c", "d"]),
    (LIST_ORDER_CREATED_DESC, ["d", "c", "b", "a"]),
    (LIST_ORDER_UPDATED_ASC, ["a", "c", "d", "b"]),
    (LIST_ORDER_UPDATED_DESC, ["b", "d", "c", "a"]),
]


async def names(client: Client, **fields: Any) -> list[str]:
    return [item.custom_id async for page in client.pages(**fields) for item in page]


async def one_page(client: Client, **fields: Any) -> ListDocumentsResponse:
    return await client.documents.ListDocuments(ListDocumentsRequest(**fields))


@pytest.mark.parametrize(("order", "expected"), ORDERS)
@pytest.mark.parametrize("page_size", [1, 3, 0])
@pytest.mark.parametrize("scope", [[], ["x"], ["x", "y"]])
async def test_a_listing_has_its_order_whatever_the_page_and_scope(
    client: Client, order: ListOrder, expected: list[str], page_size: int, scope: list[str]
) -> None:
    for name in "abcd":
        await client.put(name, custom_id=name, container_tags=["x", "y"])
    await client.put("written again", custom_id="b")

    got = await names(client, order=order, page_size=page_size, container_tags=scope)

    assert got == expected


async def test_newest_created_first_is_the_order_unless_told(client: Client) -> None:
    for name in "abc":
        await client.put(name, custom_id=name)

    assert await names(client) == ["c", "b", "a"]


async def test_documents_are_listed_by_any_or_by_all_of_the_containers(client: Client) -> None:
    await client.put(custom_id="in-a", container_tags=["a"])
    await client.put(custom_id="in-b", container_tags=["b"])
    await client.put(custom_id="in-both", container_tags=["a", "b"])
    await client.put(custom_id="in-c", container_tags=["c"])
    oldest_first = {"order": LIST_ORDER_CREATED_ASC}

    assert await names(client, container_tags=["a", "b"], **oldest_first) == [
        "in-a",
        "in-b",
        "in-both",
    ]
    both = {"container_tags": ["a", "b"], "match_all_containers": True}
    assert await names(client, **both) == ["in-both"]
    assert await names(client, container_tags=["never-written"]) == []


async def test_documents_are_listed_by_status_and_by_prefix_of_the_custom_id(
    client: Client,
) -> None:
    for name in ("note_1", "note_2", "noteX", "NOTE_1", "100%"):
        await client.put(custom_id=name)
    await client.put("without a custom id")

    assert await names(client, custom_id_prefix="note_", order=LIST_ORDER_CREATED_ASC) == [
        "note_1",
        "note_2",
    ]
    assert await names(client, custom_id_prefix="100%") == ["100%"]
    assert await names(client, statuses=[DOCUMENT_STATUS_DONE]) == []
    queued = await names(client, statuses=[DOCUMENT_STATUS_QUEUED, DOCUMENT_STATUS_DONE])
    assert len(queued) == 6


async def test_content_is_left_out_unless_asked_for(client: Client) -> None:
    await client.put("the text", metadata={"a": 1})

    without = (await one_page(client)).documents[0]
    having = (await one_page(client, include_content=True)).documents[0]

    assert without.content == ""
    assert having.content == "the text"
    assert without.metadata == having.metadata == struct({"a": 1})


async def test_page_size_zero_means_fifty_and_a_negative_one_is_refused(client: Client) -> None:
    items = [UpsertDocumentRequest(content=f"note {n}") for n in range(51)]
    await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))

    first = await one_page(client)
    assert len(first.documents) == 50
    assert first.next_page_token
    second = await one_page(client, page_token=first.next_page_token)
    assert len(second.documents) == 1
    assert second.next_page_token == ""
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await one_page(client, page_size=-1)
    assert refusal.fields == ["page_size"]


async def test_page_size_above_a_thousand_means_a_thousand(client: Client) -> None:
    for _ in range(2):
        items = [UpsertDocumentRequest(content=f"note {n}") for n in range(550)]
        await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))

    page = await one_page(client, page_size=2_000_000_000)

    assert len(page.documents) == 1000
    assert page.next_page_token


async def test_a_page_ends_early_when_it_grows_large(client: Client) -> None:
    made = [(await client.put(str(n) + "x" * 1_000_000)).id for n in range(7)]

    sizes = [page async for page in client.pages(include_content=True, page_size=100)]

    assert len(sizes) > 1
    assert all(sum(len(item.content) for item in page) <= 4_000_000 for page in sizes)
    assert sorted(item.id for page in sizes for item in page) == sorted(made)


@pytest.mark.parametrize("order", [LIST_ORDER_CREATED_ASC, LIST_ORDER_CREATED_DESC])
async def test_a_listing_by_creation_is_complete_while_others_write(
    client: Client, order: ListOrder
) -> None:
    there = [(await client.put(f"note {n}", custom_id=f"n{n}")).id for n in range(30)]
    seen: list[str] = []

    async for page in client.pages(order=order, page_size=7):
        seen.extend(document.id for document in page)
        await asyncio.gather(
            client.put("new"),
            client.put("changed", custom_id="n3", metadata={"at": len(seen)}),
            client.put("changed", custom_id="n27", metadata={"at": len(seen)}),
        )
        if len(seen) > 200:
            break

    assert len(seen) == len(set(seen))
    assert set(there) <= set(seen)


@pytest.mark.parametrize("order", [LIST_ORDER_UPDATED_ASC, LIST_ORDER_UPDATED_DESC])
async def test_a_listing_by_update_repeats_nothing_while_others_write(
    client: Client, order: ListOrder
) -> None:
    for n in range(30):
        await client.put(f"note {n}", custom_id=f"n{n}")
    seen: list[str] = []

    async for page in client.pages(order=order, page_size=7):
        seen.extend(document.id for document in page)
        await client.put("changed", custom_id="n3", metadata={"at": len(seen)})
        await client.put("changed", custom_id="n27", metadata={"at": len(seen)})
        if len(seen) > 200:
            break

    assert len(seen) == len(set(seen))


async def test_every_page_carries_the_revision_before_the_first(client: Client) -> None:
    last = [await client.put(f"note {n}") for n in range(3)][-1]
    first = await one_page(client, page_size=2)
    await client.put("later")

    second = await one_page(client, page_size=2, page_token=first.next_page_token)

    assert first.revision == second.revision == last.revision


async def test_a_page_token_belongs_to_its_request(client: Client) -> None:
    for n in range(3):
        await client.put(f"note {n}")
    token = (await one_page(client, page_size=1)).next_page_token
    assert (await one_page(client, page_size=2, page_token=token)).documents

    others: list[dict[str, Any]] = [
        {"order": LIST_ORDER_CREATED_ASC},
        {"container_tags": ["default"]},
        {"include_content": True},
        {"custom_id_prefix": "x"},
        {"statuses": [DOCUMENT_STATUS_QUEUED]},
    ]
    for other in others:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
            await one_page(client, page_size=1, page_token=token, **other)
    for broken in ("x", "AAAA", token[:-4], token + "AAAA", "é"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
            await one_page(client, page_size=1, page_token=broken)


async def test_deleted_documents_are_in_no_later_page(client: Client) -> None:
    made = [(await client.put(f"note {n}")).id for n in range(4)]
    first = await one_page(client, page_size=2, order=LIST_ORDER_CREATED_ASC)
    await client.documents.BulkDeleteDocuments(BulkDeleteDocumentsRequest(ids=made[1:3]))

    second = await one_page(
        client, page_size=2, order=LIST_ORDER_CREATED_ASC, page_token=first.next_page_token
    )

    assert [document.id for document in second.documents] == [made[3]]
