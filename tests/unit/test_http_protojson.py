"""Messages as JSON, judged by protobuf's own library."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.v1 import documents_pb2, memories_pb2
from service.core.errors import Violation
from service.http.protojson import reader, writer
from service.rpc.contract import SERVICES

TYPES: dict[str, Descriptor] = {
    kind.full_name: kind
    for service in SERVICES
    for method in service.methods
    for kind in (method.input_type, method.output_type)
}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
# Without -0.0, which the library, too, writes into metadata as 0.
NUMBERS = st.floats(-1e9, 1e9).map(lambda number: number + 0.0)
METADATA = st.dictionaries(
    TEXT, st.none() | st.booleans() | NUMBERS | TEXT | st.lists(TEXT, max_size=2)
)


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=5)
    kinds: dict[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.CPPTYPE_STRING: TEXT,
        FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
        FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
        FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
        FieldDescriptor.CPPTYPE_DOUBLE: st.floats(-1e300, 1e300),
        FieldDescriptor.CPPTYPE_FLOAT: st.floats(-1e30, 1e30, width=32),
    }
    return kinds[field.cpp_type]


@st.composite
def messages(draw: st.DrawFn, kind: Descriptor, depth: int = 0) -> Any:
    """A message with some of its fields, and some of theirs."""
    message: Any = GetMessageClass(kind)()
    if kind.full_name == "google.protobuf.Struct":
        message.update(draw(METADATA))
        return message
    if kind.full_name == "google.protobuf.Timestamp":
        message.seconds = draw(st.integers(-62_135_596_800, 253_402_300_799))
        message.nanos = draw(st.sampled_from([0, 1, 1000, 5_000_000, 123_456_789]))
        return message
    for field in draw(st.lists(st.sampled_from(list(kind.fields)), max_size=6, unique=True)):
        inner: Any = field.message_type
        if inner is not None:
            if depth < 3:
                values = draw(st.lists(messages(inner, depth + 1), min_size=1, max_size=2))
                if field.is_repeated:
                    getattr(message, field.name).extend(values)
                else:
                    getattr(message, field.name).CopyFrom(values[0])
        elif field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(_scalar(field), max_size=2)))
        else:
            setattr(message, field.name, draw(_scalar(field)))
    return message


@pytest.mark.parametrize("name", TYPES)
def test_what_is_written_and_read_is_what_the_library_writes_and_reads(name: str) -> None:
    kind = TYPES[name]

    @settings(max_examples=10)
    @given(messages(kind))
    def same(message: Any) -> None:
        written = json.loads(json.dumps(writer(kind)(message)))
        parsed = json_format.ParseDict(written, GetMessageClass(kind)())
        assert parsed == message
        for value in (written, json_format.MessageToDict(message)):
            read: Any = GetMessageClass(kind)()
            violations: list[Violation] = []
            reader(kind)(read, value, "", violations)
            assert violations == []
            assert read == message

    same()


def test_every_field_at_fault_is_named() -> None:
    value = {
        "content": 5,
        "customId": "a",
        "custom_id": "b",
        "container_tags": ["a", 7],
        "metadata": [],
        "documentDate": {},
        "nope": 1,
        "wait": "yes",
        "mode": "NEVER",
    }
    violations: list[Violation] = []

    kind: Any = documents_pb2.UpsertDocumentRequest.DESCRIPTOR
    reader(kind)(documents_pb2.UpsertDocumentRequest(), value, "", violations)

    assert [violation.field for violation in violations] == [
        "content", "custom_id", "container_tags[1]", "metadata", "documentDate", "nope", "wait",
        "mode",
    ]  # fmt: skip


def test_numbers_may_be_written_as_text() -> None:
    request = memories_pb2.SearchMemoriesRequest()

    kind: Any = request.DESCRIPTOR
    violations: list[Violation] = []
    reader(kind)(request, {"limit": "7", "minScore": 1}, "", violations)

    assert (violations, request.limit, request.min_score) == ([], 7, 1.0)


@pytest.mark.parametrize("value", ["\ud800", 1, True, [], {}])
def test_what_is_no_text_is_refused(value: object) -> None:
    violations: list[Violation] = []

    kind: Any = documents_pb2.GetDocumentRequest.DESCRIPTOR
    reader(kind)(documents_pb2.GetDocumentRequest(), {"id": value}, "", violations)

    assert [violation.field for violation in violations] == ["id"]
