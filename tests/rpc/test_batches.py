"""Many documents in one call: batch upserts and bulk deletes."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from palimpsest.v1.common_pb2 import COMPLETION_COMPLETE
from palimpsest.v1.documents_pb2 import (
    CONTENT_KIND_CONVERSATION,
    CONTENT_KIND_TEXT,
    UPSERT_MODE_CREATE_ONLY,
    UPSERT_MODE_UPDATE_ONLY,
    BatchUpsertDocumentsRequest,
    BulkDeleteDocumentsRequest,
    BulkDeleteDocumentsResponse,
    Conversation,
    ConversationMessage,
    UpsertDocumentRequest,
)
from tests.client import Client, refused, struct

TALK = Conversation(messages=[ConversationMessage(text="hello")])


async def bulk_delete(client: Client, **fields: Any) -> BulkDeleteDocumentsResponse:
    return await client.documents.BulkDeleteDocuments(BulkDeleteDocumentsRequest(**fields))


async def test_each_item_of_a_batch_has_its_own_outcome_in_request_order(client: Client) -> None:
    await client.put("there", custom_id="taken")
    items = [
        UpsertDocumentRequest(content="new"),
        UpsertDocumentRequest(content="x", custom_id="taken", mode=UPSERT_MODE_CREATE_ONLY),
        UpsertDocumentRequest(content="x", custom_id="absent", mode=UPSERT_MODE_UPDATE_ONLY),
        UpsertDocumentRequest(content="y", custom_id="taken"),
        UpsertDocumentRequest(
            content="x", custom_id="taken", container_tags=["default", "elsewhere"]
        ),
        UpsertDocumentRequest(content="x", custom_id="taken", etag="stale"),
    ]

    answer = await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))

    reasons = [outcome.error.reason for outcome in answer.outcomes]
    assert reasons == [
        "",
        "CUSTOM_ID_EXISTS",
        "DOCUMENT_NOT_FOUND",
        "",
        "CUSTOM_ID_IN_OTHER_CONTAINER",
        "ETAG_MISMATCH",
    ]
    codes = [outcome.error.code for outcome in answer.outcomes]
    assert codes == [0, 6, 5, 0, 9, 10]
    created, updated = answer.outcomes[0].receipt, answer.outcomes[3].receipt
    assert (created.created, updated.created) == (True, False)
    assert updated.custom_id == "taken"
    assert (await client.get("taken")).content == "y"
    assert answer.revision == max(created.revision, updated.revision)


async def test_a_batch_is_applied_oldest_document_date_first(client: Client) -> None:
    def item(content: str, seconds: int | None) -> UpsertDocumentRequest:
        date = None if seconds is None else Timestamp(seconds=seconds)
        return UpsertDocumentRequest(content=content, custom_id="diary", document_date=date)

    answer = await client.documents.BatchUpsertDocuments(
        BatchUpsertDocumentsRequest(
            items=[item("third", 300), item("last", None), item("first", 100), item("second", 200)]
        )
    )

    receipts = [outcome.receipt for outcome in answer.outcomes]
    assert len({receipt.id for receipt in receipts}) == 1
    assert [receipt.created for receipt in receipts] == [False, False, True, False]
    order = sorted(range(4), key=lambda n: receipts[n].revision)
    assert order == [2, 3, 0, 1]
    assert (await client.get("diary")).content == "last"


async def test_an_item_that_meets_another_keeps_its_place_in_a_batch(client: Client) -> None:
    items = [
        UpsertDocumentRequest(
            content=content, custom_id=custom_id, document_date=Timestamp(seconds=n)
        )
        for n, (content, custom_id) in enumerate(
            [("first", "diary"), ("second", "diary"), ("third", "letter")]
        )
    ]

    answer = await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))

    assert [outcome.receipt.revision for outcome in answer.outcomes] == [1, 2, 3]
    assert (await client.get("diary")).content == "second"


async def test_items_of_one_custom_id_build_on_each_other(client: Client) -> None:
    answer = await client.documents.BatchUpsertDocuments(
        BatchUpsertDocumentsRequest(
            items=[
                UpsertDocumentRequest(content="a", custom_id="c", metadata=struct({"x": 1})),
                UpsertDocumentRequest(content="b", custom_id="c", metadata=struct({"y": 2})),
            ]
        )
    )

    assert [outcome.receipt.created for outcome in answer.outcomes] == [True, False]
    document = await client.get("c")
    assert document.content == "b"
    assert document.metadata == struct({"x": 1, "y": 2})


async def test_a_batch_takes_six_hundred_items_and_no_more(client: Client) -> None:
    items = [UpsertDocumentRequest(content=f"note {n}") for n in range(600)]
    answer = await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))
    assert len({outcome.receipt.id for outcome in answer.outcomes}) == 600
    assert len(await client.ids(page_size=1000)) == 600

    items.append(UpsertDocumentRequest(content="one too many"))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))
    assert refusal.fields == ["items"]
    assert len(await client.ids(page_size=1000)) == 600


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (UpsertDocumentRequest(), "content"),
        (UpsertDocumentRequest(content="a", conversation=TALK), "content"),
        (
            UpsertDocumentRequest(content="a", content_kind=CONTENT_KIND_CONVERSATION),
            "content_kind",
        ),
        (UpsertDocumentRequest(conversation=TALK, content_kind=CONTENT_KIND_TEXT), "content_kind"),
        (UpsertDocumentRequest(content="a", request_id=str(uuid4())), "request_id"),
        (UpsertDocumentRequest(content="a", wait=True), "wait"),
    ],
)
async def test_a_batch_with_one_malformed_item_names_it_and_writes_nothing(
    client: Client, bad: UpsertDocumentRequest, field: str
) -> None:
    good = UpsertDocumentRequest(content="good")

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=[good, bad]))

    assert refusal.fields == [f"items[1].{field}"]
    assert await client.ids() == []


async def test_bulk_delete_without_a_selector_is_refused_and_deletes_nothing(
    client: Client,
) -> None:
    made = await client.put()

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await bulk_delete(client)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await bulk_delete(client, ids=[made.id], container_tags=["default"])
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await bulk_delete(client, ids=["a", "a"])

    assert refusal.fields == ["ids"]
    assert await client.ids() == [made.id]


async def test_a_document_named_by_both_its_ids_is_deleted_once(client: Client) -> None:
    made = await client.put(custom_id="c")

    answer = await bulk_delete(client, ids=["c", made.id])

    assert answer.success
    assert answer.deleted_count == 1
    assert [(error.index, error.id) for error in answer.errors] == [(1, made.id)]


async def test_nothing_but_errors_is_still_ok(client: Client) -> None:
    answer = await bulk_delete(client, ids=["a", "b"])

    assert answer.success
    assert answer.deleted_count == 0
    assert [error.error.message for error in answer.errors] == ["Document not found"] * 2


async def test_a_document_also_elsewhere_only_leaves_the_named_container(client: Client) -> None:
    both = await client.put("both", container_tags=["a", "b"])
    only = await client.put("only", container_tags=["a"])

    answer = await bulk_delete(client, container_tags=["a"])

    assert (answer.deleted_count, answer.detached_count) == (1, 1)
    assert answer.completion == COMPLETION_COMPLETE
    assert (await client.get(both.id)).container_tags == ["b"]
    assert await client.ids(container_tags=["a"]) == []
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await client.get(only.id)


async def test_a_document_in_several_named_containers_is_deleted_and_counted_once(
    client: Client,
) -> None:
    await client.put(container_tags=["a", "b"])

    answer = await bulk_delete(client, container_tags=["a", "b", "never-written"])

    assert (answer.deleted_count, answer.detached_count) == (1, 0)
    assert answer.container_tags == ["a", "b", "never-written"]
    assert await client.ids() == []


async def test_leaving_a_container_changes_the_etag_and_the_revision(client: Client) -> None:
    made = await client.put(container_tags=["a", "b"])

    answer = await bulk_delete(client, container_tags=["a"])

    document = await client.get(made.id)
    assert document.etag != made.etag
    assert document.revision == answer.revision > made.revision


async def test_validate_only_counts_and_deletes_nothing(client: Client) -> None:
    made = {(await client.put(f"note {n}", container_tags=["a"])).id for n in range(3)}
    await client.put("also elsewhere", container_tags=["a", "b"])

    by_container = await bulk_delete(client, container_tags=["a"], validate_only=True)
    by_id = await bulk_delete(client, ids=[*made, "nothing"], validate_only=True)

    assert (by_container.deleted_count, by_container.detached_count) == (3, 1)
    assert set(by_container.sample_ids) == made
    assert by_id.deleted_count == 3
    assert [error.index for error in by_id.errors] == [3]
    assert len(await client.ids()) == 4


async def test_a_large_container_is_deleted_whole(client: Client) -> None:
    for _ in range(3):
        items = [
            UpsertDocumentRequest(content=f"note {n}", container_tags=["big"]) for n in range(600)
        ]
        await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))
    kept = await client.put(container_tags=["small"])

    answer = await bulk_delete(client, container_tags=["big"])

    assert answer.deleted_count == 1800
    assert answer.completion == COMPLETION_COMPLETE
    assert await client.ids() == [kept.id]
