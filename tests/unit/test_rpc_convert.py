"""Messages to plain data and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from palimpsest.v1 import documents_pb2 as dpb
from palimpsest.v1 import memories_pb2 as mpb
from service.core import model as m
from service.core.errors import Violation
from service.core.metadata import Scalar, canonical
from service.core.times import EARLIEST, LATEST
from service.rpc.convert import documents, ids, memories, metadata, times


def struct(fields: Mapping[str, Any]) -> Struct:
    message = Struct()
    message.update(dict(fields))
    return message


@pytest.mark.parametrize("instant", [EARLIEST, -1, 0, 1_763_699_000_123_456, LATEST])
def test_instants_come_back_as_they_went(instant: int) -> None:
    stamp = Timestamp()
    times.to_proto(instant, stamp)
    violations: list[Violation] = []
    assert times.instant(stamp, "t", violations) == instant
    assert not violations


def test_an_instant_of_zero_is_present() -> None:
    receipt = dpb.DocumentReceipt()
    times.to_proto(0, receipt.create_time)
    assert receipt.HasField("create_time")


def test_digits_below_the_microsecond_are_cut_off() -> None:
    assert times.instant(Timestamp(seconds=1, nanos=1_999), "t", []) == 1_000_001


@pytest.mark.parametrize(
    ("seconds", "nanos", "fields"),
    [
        (0, -1, ["t.nanos"]),
        (0, 1_000_000_000, ["t.nanos"]),
        (253_402_300_800, 0, ["t"]),
        (-62_135_596_801, 0, ["t"]),
        (2**62, 2**31 - 1, ["t.nanos", "t"]),
    ],
)
def test_stamps_out_of_range_are_refused(seconds: int, nanos: int, fields: list[str]) -> None:
    violations: list[Violation] = []
    times.instant(Timestamp(seconds=seconds, nanos=nanos), "t", violations)
    assert [violation.field for violation in violations] == fields


def test_metadata_come_back_as_they_went() -> None:
    given: dict[str, Scalar] = {"s": "x", "n": 2.5, "b": False, "l": ["a", "b"], "e": [], "z": ""}
    violations: list[Violation] = []
    read = metadata.patch(struct(given), "metadata", violations)
    assert read == given
    assert not violations
    message = Struct()
    metadata.to_proto(canonical(given), message)
    assert metadata.patch(message, "metadata", violations) == given
    assert not violations


def test_null_is_none_and_empty_is_absent() -> None:
    assert metadata.patch(struct({"gone": None}), "metadata", []) == {"gone": None}
    document = dpb.Document()
    metadata.to_proto("{}", document.metadata)
    assert not document.HasField("metadata")


def test_metadata_of_other_kinds_are_refused_by_path() -> None:
    message = struct({"o": {"a": 1}, "l": ["a", 1, None, ["b"], {}], "f": float("nan")})
    message.fields["u"].Clear()
    violations: list[Violation] = []
    metadata.patch(message, "metadata", violations)
    assert {violation.field for violation in violations} == {
        "metadata.o",
        "metadata.l[1]",
        "metadata.l[2]",
        "metadata.l[3]",
        "metadata.l[4]",
        "metadata.f",
        "metadata.u",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {f"k{n}": 1 for n in range(101)},
        {"k": "x" * 70_000},
        {"k": "x" * 16_384},
        {"k": "ü" * 8_192},
    ],
)
def test_metadata_too_large_are_refused_as_a_whole(fields: dict[str, Any]) -> None:
    violations: list[Violation] = []
    metadata.patch(struct(fields), "metadata", violations)
    assert [violation.field for violation in violations] == ["metadata"]


def test_an_upsert_tells_absent_from_empty() -> None:
    bare = documents.write(dpb.UpsertDocumentRequest(content="x"), [])
    assert bare == m.DocumentWrite("x")
    request = dpb.UpsertDocumentRequest(content="x", title="", clear_document_date=True)
    request.metadata.SetInParent()
    cleared = documents.write(request, [])
    assert (cleared.title, cleared.document_date, cleared.metadata) == ("", None, {})


@pytest.mark.parametrize("mode", [-1, 0, 99])
def test_conversion_survives_what_validation_refuses(mode: int) -> None:
    request = dpb.UpsertDocumentRequest()
    request.mode = mode  # type: ignore[assignment]
    documents.write(request, [])
    listing = dpb.ListDocumentsRequest(statuses=[0, 99])  # type: ignore[list-item]
    documents.query(listing, [])
    memories.update(mpb.UpdateMemoryRequest(), [])


def test_updating_only_needs_a_custom_id() -> None:
    violations: list[Violation] = []
    request = dpb.UpsertDocumentRequest(content="x", mode=dpb.UPSERT_MODE_UPDATE_ONLY)
    documents.write(request, violations, "items[2].")
    assert [violation.field for violation in violations] == ["items[2].mode"]


def test_a_document_comes_out_whole() -> None:
    message = dpb.Document()
    documents.to_proto(
        m.Document(
            id="doc_1",
            custom_id="c",
            content="text",
            metadata='{"k":"v"}',
            containers=("a", "b"),
            status=m.Status.FAILED,
            title="t",
            document_date=0,
            etag="e",
            revision=2**40,
            create_time=1,
            update_time=2,
            error="why",
            attempts=5,
            chunks=7,
        ),
        message,
    )
    assert set(message.DESCRIPTOR.fields_by_name) - {"conversation", "content_bytes"} == {
        field.name for field, _ in message.ListFields()
    }
    assert message.status == dpb.DOCUMENT_STATUS_FAILED


def test_receipts_echo_custom_ids_only() -> None:
    receipt = m.DocumentReceipt("doc_1", True, True, m.Status.QUEUED, "e", 1, 2, 3)
    message = dpb.DocumentReceipt()
    documents.receipt_to_proto(receipt, message, "mine")
    assert message.custom_id == "mine"
    message.Clear()
    documents.receipt_to_proto(receipt, message, "doc_1")
    assert not message.custom_id


def test_a_deleted_document_is_watched_as_its_id() -> None:
    assert documents.watch_response("doc_1") == dpb.WatchDocumentResponse(
        document=dpb.Document(id="doc_1"), deleted=True
    )


@pytest.mark.parametrize(
    ("check", "text", "rule"),
    [
        (ids.check_document, "mem_1", "is a memory id; use X.Y"),
        (ids.check_document, "doc_1", None),
        (ids.check_document, "mine", None),
        (ids.check_memory, "doc_1", "is a document id; use X.Y"),
        (ids.check_memory, "fgt_1", "is a forget batch id; use Memories.RestoreMemories"),
        (ids.check_memory, "mem_1", None),
    ],
)
def test_ids_of_the_wrong_kind_are_told_where_to_go(
    check: Callable[[str, str, str, list[Violation]], None], text: str, rule: str | None
) -> None:
    violations: list[Violation] = []
    check(text, "id", "X.Y", violations)
    assert violations == ([Violation("id", rule)] if rule else [])


def test_dates_of_a_memory_must_be_dates() -> None:
    message = mpb.NewMemory(content="x", source_document_id="mem_1")
    message.temporal_context.document_date = "yesterday"
    message.temporal_context.event_dates.extend(["2026-05-08", "08.05.2026"])
    violations: list[Violation] = []
    memories.new(message, "memories[1].", violations)
    assert [violation.field for violation in violations] == [
        "memories[1].source_document_id",
        "memories[1].temporal_context.document_date",
        "memories[1].temporal_context.event_dates[1]",
    ]


def test_an_update_of_a_memory_tells_keep_from_clear() -> None:
    request = mpb.UpdateMemoryRequest(id="mem_1", new_content="x")
    kept = memories.update(request, [])
    assert (kept.forget_after, kept.metadata, kept.temporal) == (m.UNSET, None, None)
    request.clear_forget_after = True
    request.temporal_context.clear_event_dates = True
    request.metadata.SetInParent()
    cleared = memories.update(request, [])
    assert cleared.forget_after is None
    assert cleared.metadata == {}
    assert cleared.temporal == m.TemporalPatch(m.UNSET, ())


def test_a_reason_goes_not_with_clearing_the_schedule() -> None:
    request = mpb.UpdateMemoryRequest(
        id="mem_1", new_content="x", clear_forget_after=True, forget_reason="why"
    )
    violations: list[Violation] = []
    memories.update(request, violations)
    assert [violation.field for violation in violations] == ["forget_reason"]
