"""The document examples of Supermemory's documentation, word for word in effect."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tests.acceptance.callers import Caller, CallError, Json

NOT_FOUND = grpc.StatusCode.NOT_FOUND
NO_SUCH_DOCUMENT = {"code": 5, "reason": "DOCUMENT_NOT_FOUND", "message": "Document not found"}


def add(call: Caller, content: str = "A note", **fields: Any) -> Json:
    receipt: Json = call("Documents.UpsertDocument", content=content, **fields)["receipt"]
    return receipt


def get(call: Caller, name: str) -> Json:
    document: Json = call("Documents.GetDocument", id=name)["document"]
    return document


def list_ids(call: Caller, **fields: Any) -> set[str]:
    return {item["id"] for item in call("Documents.ListDocuments", **fields)["documents"]}


def test_a_direct_update_changes_content_and_metadata_and_queues_the_document(
    call: Caller,
) -> None:
    made = add(call, "Original content", metadata={"author": "ann", "version": 1})

    updated = call(
        "Documents.UpdateDocument",
        id=made["id"],
        content="Updated content here",
        metadata={"version": 2, "updated": True},
    )["receipt"]

    assert updated["id"] == made["id"]
    assert updated["status"] == "DOCUMENT_STATUS_QUEUED"
    assert updated["etag"] != made["etag"]
    document = get(call, made["id"])
    assert document["content"] == "Updated content here"
    assert document["metadata"] == {"author": "ann", "version": 2, "updated": True}


def test_upserting_a_custom_id_twice_keeps_one_document_with_one_id(call: Caller) -> None:
    created = add(call, "Initial content", customId="user-note-001", metadata={"version": 1})
    updated = add(call, "Updated content", customId="user-note-001", metadata={"version": 2})

    assert created["created"] is True
    assert updated["created"] is False
    assert updated["id"] == created["id"]
    assert updated["customId"] == created["customId"] == "user-note-001"
    assert updated["status"] == "DOCUMENT_STATUS_QUEUED"
    assert list_ids(call) == {created["id"]}
    document = get(call, "user-note-001")
    assert document["content"] == "Updated content"
    assert document["metadata"] == {"version": 2}


def test_a_deleted_document_is_not_found_not_even_by_a_second_delete(call: Caller) -> None:
    made = add(call)

    assert call("Documents.DeleteDocument", id=made["id"])["id"] == made["id"]

    for method in ("Documents.GetDocument", "Documents.DeleteDocument"):
        with pytest.raises(CallError) as failed:
            call(method, id=made["id"])
        assert (failed.value.code, failed.value.reasons) == (NOT_FOUND, ["DOCUMENT_NOT_FOUND"])
    assert list_ids(call) == set()


def test_bulk_delete_by_ids_counts_and_reports_the_one_that_does_not_exist(call: Caller) -> None:
    ids = [add(call, f"Note {n}")["id"] for n in range(3)]
    kept = add(call, "Another")["id"]

    answer = call("Documents.BulkDeleteDocuments", ids=[*ids, "non_existent_id"])

    assert answer["success"] is True
    assert answer["deletedCount"] == "3"
    assert answer["errors"] == [{"index": 3, "id": "non_existent_id", "error": NO_SUCH_DOCUMENT}]
    assert list_ids(call) == {kept}


def test_bulk_delete_by_containers_deletes_all_of_theirs_and_counts(call: Caller) -> None:
    tags = ["user-123", "project-old", "archived-content"]
    items = [{"content": f"Note {n}", "containerTags": [tags[n % 3]]} for n in range(45)]
    call("Documents.BatchUpsertDocuments", items=items)
    kept = add(call, containerTags=["user-456"])["id"]

    answer = call("Documents.BulkDeleteDocuments", containerTags=tags)

    assert answer["success"] is True
    assert answer["deletedCount"] == "45"
    assert answer["containerTags"] == tags
    assert answer["completion"] == "COMPLETION_COMPLETE"
    assert list_ids(call) == {kept}


def test_soft_delete_hides_exactly_the_marked_document(call: Caller) -> None:
    marked = add(call, "Marked", metadata={"topic": "billing"})["id"]
    without_key = add(call, "Never had the key")["id"]
    not_deleted = add(call, "Has the key", metadata={"deleted": False})["id"]

    receipt = call(
        "Documents.UpdateDocument",
        id=marked,
        metadata={
            "deleted": True,
            "deletedAt": "2024-01-15T10:30:00Z",
            "deletedBy": "user_123",
        },
    )["receipt"]
    active = {
        "allOf": {
            "filters": [{"match": {"key": "deleted", "value": "true", "negate": True}}],
        }
    }

    assert receipt["status"] == "DOCUMENT_STATUS_QUEUED"
    assert list_ids(call, filter=active) == {without_key, not_deleted}
    assert list_ids(call) == {marked, without_key, not_deleted}
    assert get(call, marked)["metadata"]["topic"] == "billing"


def test_a_large_delete_goes_a_hundred_ids_at_a_time(call: Caller) -> None:
    items = [{"content": f"Note {n}"} for n in range(250)]
    outcomes = call("Documents.BatchUpsertDocuments", items=items)["outcomes"]
    ids = [outcome["receipt"]["id"] for outcome in outcomes]

    counts = [
        int(call("Documents.BulkDeleteDocuments", ids=ids[at : at + 100])["deletedCount"])
        for at in range(0, len(ids), 100)
    ]

    assert counts == [100, 100, 50]
    assert list_ids(call) == set()


def test_a_hundred_and_one_ids_are_refused_and_nothing_is_deleted(call: Caller) -> None:
    made = add(call)["id"]

    with pytest.raises(CallError) as failed:
        call("Documents.BulkDeleteDocuments", ids=[made, *(f"id-{n}" for n in range(100))])

    assert failed.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.value.reasons == ["INVALID_REQUEST"]
    assert failed.value.fields == ["ids"]
    assert list_ids(call) == {made}


def test_a_custom_id_may_have_a_hundred_characters_and_no_more(call: Caller) -> None:
    assert add(call, customId="é" * 100)["customId"] == "é" * 100

    with pytest.raises(CallError) as failed:
        add(call, customId="x" * 101)

    assert failed.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.value.reasons == ["INVALID_REQUEST"]
    assert failed.value.fields == ["custom_id"]
