"""Writing documents one by one: what changes, what stays, and what is refused."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from palimpsest.v1.documents_pb2 import (
    DOCUMENT_STATUS_QUEUED,
    UPSERT_MODE_CREATE_ONLY,
    UPSERT_MODE_UPDATE_ONLY,
    DeleteDocumentRequest,
    UpdateDocumentRequest,
)
from tests.client import Client, refused, struct


async def test_a_document_is_there_right_after_its_write(client: Client) -> None:
    date = Timestamp(seconds=1_700_000_000)
    receipt = await client.put(
        "Grüße 👋\n",
        custom_id="greeting",
        container_tags=["b", "a"],
        metadata={"tags": ["x", "y"], "n": 1.5, "ok": True, "s": ""},
        title="A greeting",
        document_date=date,
    )

    document = await client.get(receipt.id)

    assert document == await client.get("greeting")
    assert document.id.startswith("doc_")
    assert len(document.id) == 26
    assert document.content == "Grüße 👋\n"
    assert document.container_tags == ["b", "a"]
    assert document.metadata == struct({"tags": ["x", "y"], "n": 1.5, "ok": True, "s": ""})
    assert (document.title, document.document_date) == ("A greeting", date)
    assert document.status == receipt.status == DOCUMENT_STATUS_QUEUED
    assert (document.etag, document.revision) == (receipt.etag, receipt.revision)
    assert (receipt.created, receipt.changed) == (True, True)
    assert document.create_time == document.update_time == receipt.create_time


async def test_without_a_container_a_document_is_in_the_default_one(client: Client) -> None:
    receipt = await client.put()

    assert (await client.get(receipt.id)).container_tags == ["default"]


async def test_without_a_custom_id_every_upsert_creates(client: Client) -> None:
    first, second = await client.put("same"), await client.put("same")

    assert first.id != second.id
    assert second.created


async def test_revisions_grow_by_one_with_each_change(client: Client) -> None:
    receipts = [await client.put(f"note {n}") for n in range(3)]

    first = receipts[0].revision
    assert [receipt.revision for receipt in receipts] == [first, first + 1, first + 2]


async def test_concurrent_writes_get_revisions_without_gap_or_repeat(client: Client) -> None:
    receipts = await asyncio.gather(*(client.put(f"note {n}") for n in range(50)))

    revisions = sorted(receipt.revision for receipt in receipts)
    assert revisions == list(range(revisions[0], revisions[0] + 50))


async def test_upserting_merges_metadata_and_null_removes_a_key(client: Client) -> None:
    await client.put("one", custom_id="c", metadata={"keep": 1, "drop": "x", "turn": "old"})
    await client.put("two", custom_id="c", metadata={"drop": None, "turn": ["new"], "add": False})

    document = await client.get("c")

    assert document.metadata == struct({"keep": 1, "turn": ["new"], "add": False})
    assert document.content == "two"


async def test_on_create_a_null_key_is_absent(client: Client) -> None:
    await client.put(custom_id="c", metadata={"gone": None, "here": 1})

    assert (await client.get("c")).metadata == struct({"here": 1})


async def test_an_upsert_keeps_title_and_date_unless_told_otherwise(client: Client) -> None:
    date = Timestamp(seconds=1)
    await client.put("one", custom_id="c", title="T", document_date=date)
    await client.put("two", custom_id="c")
    kept = await client.get("c")
    await client.put("two", custom_id="c", title="", clear_document_date=True)
    cleared = await client.get("c")

    assert (kept.title, kept.document_date) == ("T", date)
    assert cleared.title == ""
    assert not cleared.HasField("document_date")


async def test_an_upsert_that_changes_nothing_leaves_etag_revision_and_times(
    client: Client,
) -> None:
    first = await client.put("same", custom_id="c", metadata={"a": 1, "b": "x"})
    await client.put("elsewhere")
    again = await client.put("same", custom_id="c", metadata={"b": "x", "missing": None})

    assert (again.created, again.changed) == (False, False)
    for field in ("id", "etag", "revision", "create_time", "update_time", "status"):
        assert getattr(again, field) == getattr(first, field), field


async def test_create_only_is_refused_where_the_custom_id_is_taken(client: Client) -> None:
    await client.put("one", custom_id="c", mode=UPSERT_MODE_CREATE_ONLY)

    with refused(StatusCode.ALREADY_EXISTS, "CUSTOM_ID_EXISTS"):
        await client.put("two", custom_id="c", mode=UPSERT_MODE_CREATE_ONLY)

    assert (await client.get("c")).content == "one"


async def test_update_only_is_refused_where_there_is_no_document(client: Client) -> None:
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND") as refusal:
        await client.put(custom_id="c", mode=UPSERT_MODE_UPDATE_ONLY)
    assert "ResourceInfo" in refusal.kinds

    await client.put("one", custom_id="c")
    receipt = await client.put("two", custom_id="c", mode=UPSERT_MODE_UPDATE_ONLY)
    assert (receipt.created, receipt.changed) == (False, True)


async def test_concurrent_upserts_of_one_custom_id_make_one_document(client: Client) -> None:
    receipts = await asyncio.gather(*(client.put(f"text {n}", custom_id="c") for n in range(20)))

    assert len({receipt.id for receipt in receipts}) == 1
    assert sum(receipt.created for receipt in receipts) == 1
    last = max(receipts, key=lambda receipt: receipt.revision)
    document = await client.get("c")
    assert document.etag == last.etag
    assert document.content == f"text {receipts.index(last)}"


async def test_an_upsert_may_name_some_of_the_documents_containers(client: Client) -> None:
    made = await client.put("one", custom_id="c", container_tags=["a", "b"])
    await client.put("two", custom_id="c", container_tags=["a"])
    await client.put("three", custom_id="c")

    document = await client.get(made.id)
    assert document.content == "three"
    assert document.container_tags == ["a", "b"]
    with refused(StatusCode.FAILED_PRECONDITION, "CUSTOM_ID_IN_OTHER_CONTAINER"):
        await client.put("four", custom_id="c", container_tags=["a", "d"])


async def test_an_update_changes_what_is_given_and_leaves_the_rest(client: Client) -> None:
    made = await client.put("one", custom_id="c", title="T", metadata={"a": 1, "b": 2})

    answer = await client.documents.UpdateDocument(
        UpdateDocumentRequest(id="c", metadata=struct({"b": None, "d": "x"}))
    )

    document = await client.get(made.id)
    assert document.metadata == struct({"a": 1, "d": "x"})
    assert (document.content, document.title, document.custom_id) == ("one", "T", "c")
    assert answer.receipt.changed
    assert answer.receipt.etag == document.etag != made.etag


async def test_an_update_moves_a_document_to_other_containers(client: Client) -> None:
    made = await client.put(container_tags=["a", "b"])

    await client.documents.UpdateDocument(
        UpdateDocumentRequest(id=made.id, container_tags=["c", "b"])
    )

    assert (await client.get(made.id)).container_tags == ["c", "b"]
    assert await client.ids(container_tags=["a"]) == []
    assert await client.ids(container_tags=["c"]) == [made.id]


async def test_containers_are_answered_in_the_order_they_were_given(client: Client) -> None:
    made = await client.put(custom_id="n", container_tags=["user:2", "project", "archive"])
    expected = ["user:2", "project", "archive"]

    assert (await client.get(made.id)).container_tags == expected
    (listed,) = [document async for page in client.pages() for document in page]
    assert listed.container_tags == expected
    again = await client.put(custom_id="n", container_tags=["user:2", "archive", "project"])
    assert not again.changed
    assert (await client.get(made.id)).container_tags == expected


async def test_another_order_of_the_same_containers_is_a_change(client: Client) -> None:
    made = await client.put(container_tags=["a", "b"])
    other = UpdateDocumentRequest(id=made.id, container_tags=["b", "a"], etag=made.etag)

    receipt = (await client.documents.UpdateDocument(other)).receipt

    assert receipt.changed
    assert receipt.etag != made.etag
    assert (await client.get(made.id)).container_tags == ["b", "a"]
    other.etag = receipt.etag
    assert not (await client.documents.UpdateDocument(other)).receipt.changed


async def test_an_update_that_changes_nothing_says_so(client: Client) -> None:
    made = await client.put("one", metadata={"a": 1})

    answer = await client.documents.UpdateDocument(
        UpdateDocumentRequest(id=made.id, content="one", metadata=struct({"a": 1, "z": None}))
    )

    assert not answer.receipt.changed
    assert (answer.receipt.etag, answer.receipt.revision) == (made.etag, made.revision)


async def test_updating_what_is_not_there_is_not_found(client: Client) -> None:
    for name in ("nothing", "doc_0000000000000000000000"):
        with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
            await client.documents.UpdateDocument(UpdateDocumentRequest(id=name, content="x"))


async def test_another_etag_aborts_and_nothing_happens(client: Client) -> None:
    made = await client.put("one", custom_id="c")
    current = await client.put("two", custom_id="c")

    with refused(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await client.put("three", custom_id="c", etag=made.etag)
    with refused(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await client.documents.UpdateDocument(
            UpdateDocumentRequest(id="c", content="three", etag=made.etag)
        )
    with refused(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await client.documents.DeleteDocument(DeleteDocumentRequest(id="c", etag=made.etag))

    document = await client.get("c")
    assert (document.content, document.etag) == ("two", current.etag)
    await client.put("three", custom_id="c", etag=current.etag)
    assert (await client.get("c")).content == "three"


async def test_of_two_writers_with_one_etag_one_wins(client: Client) -> None:
    made = await client.put("one", custom_id="c")

    outcomes = await asyncio.gather(
        *(client.put(f"writer {n}", custom_id="c", etag=made.etag) for n in range(8)),
        return_exceptions=True,
    )

    won = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    assert len(won) == 1
    assert (await client.get("c")).content == f"writer {won[0]}"
    for lost in (o for o in outcomes if isinstance(o, BaseException)):
        with refused(StatusCode.ABORTED, "ETAG_MISMATCH"):
            raise lost


async def test_a_deleted_custom_id_is_free_and_makes_a_new_document(client: Client) -> None:
    made = await client.put("one", custom_id="c")
    await client.documents.DeleteDocument(DeleteDocumentRequest(id="c"))

    again = await client.put("two", custom_id="c")

    assert again.created
    assert again.id != made.id
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await client.get(made.id)


async def test_deleting_nothing_is_an_error_unless_allowed(client: Client) -> None:
    made = await client.put()
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await client.documents.DeleteDocument(DeleteDocumentRequest(id="nothing"))

    answer = await client.documents.DeleteDocument(
        DeleteDocumentRequest(id="nothing", allow_missing=True)
    )

    assert answer.id == ""
    assert answer.revision == made.revision


@pytest.mark.parametrize(
    ("bad", "paths"),
    [
        ({"key with space": 1}, ["metadata.key with space"]),
        ({"nested": {"a": 1}}, ["metadata.nested"]),
        ({"list": ["a", 1]}, ["metadata.list[1]"]),
        ({"big": 2.0**53}, ["metadata.big"]),
        ({"a": {}, "b": [[]], "c": 1}, ["metadata.a", "metadata.b[0]"]),
        ({f"k{n}": n for n in range(101)}, ["metadata"]),
        ({"long": "x" * 17_000}, ["metadata"]),
    ],
    ids=["key", "object", "mixed list", "2^53", "two at once", "101 keys", "over 16 KiB"],
)
async def test_bad_metadata_is_refused_with_the_path_of_the_key(
    client: Client, bad: dict[str, object], paths: list[str]
) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.put(metadata=bad)

    assert sorted(refusal.fields) == sorted(paths)


async def test_metadata_may_not_outgrow_its_limit_by_merging(client: Client) -> None:
    await client.put("one", custom_id="c", metadata={f"a{n}": n for n in range(60)})

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.put("two", custom_id="c", metadata={f"b{n}": n for n in range(60)})

    assert refusal.fields == ["metadata"]
    assert (await client.get("c")).content == "one"


async def test_all_violations_are_reported_together(client: Client) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.put(
            "",
            custom_id="doc_mine",
            container_tags=["with space"],
            metadata={"": 1},
            request_id="not a uuid",
        )

    assert {field.partition("[")[0] for field in refusal.fields} == {
        "content",
        "custom_id",
        "container_tags",
        "metadata.",
        "request_id",
    }


async def test_content_of_a_mebibyte_is_taken_and_one_byte_more_refused(client: Client) -> None:
    full = "é" * (1_048_576 // 2)
    receipt = await client.put(full)
    assert (await client.get(receipt.id)).content == full

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.put(full + "x")
    assert refusal.fields == ["content"]


async def test_a_memory_id_is_refused_where_a_document_is_meant(client: Client) -> None:
    (memory,) = await client.remember("a statement")

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.get(memory.id)

    assert refusal.fields == ["id"]
    assert "GetMemory" in refusal.message
