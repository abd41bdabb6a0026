"""Bodies that are no request: each is refused with what is wrong, and the connection stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from service.http.transcoding import MAX_VALUES
from tests.hostile import contract
from tests.hostile.contract import Path
from tests.http.wire import Caller

PATH = "/v1/documents"

BROKEN = {
    "no JSON": b"content=x",
    "a half": b'{"content": "x"',
    "two values": b"{}{}",
    "a comma too many": b'{"content": "x",}',
    "single quotes": b"{'content': 'x'}",
    "a comment": b'{"content": "x" /* y */}',
    "an array": b'[{"content": "x"}]',
    "a text": b'"content"',
    "a number": b"5",
    "null": b"null",
    "true": b"true",
    "arrays in one another": b"[" * 10_000 + b"]" * 10_000,
    "objects in one another": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "arrays without end": b"[" * 10_000,
    "a text without end, and escapes": b"[" * 100 + b'"' + b'\\"' * 500_000,
    "NaN": b'{"content": NaN}',
    "infinity": b'{"metadata": {"a": -Infinity}}',
    "thousands of digits": b'{"metadata": {"a": ' + b"9" * 5_000 + b"}}",
    "a name twice": b'{"content": "x", "content": "y"}',
    "a name twice, inside": b'{"content": "x", "metadata": {"a": 1, "a": 2}}',
    "half a character as a name": b'{"\\ud800": 1}',
    "half a character as a name, inside": b'{"metadata": {"\\udfff": 1}}',
    "Latin-1": '{"content": "é"}'.encode("latin-1"),
    "UTF-16": '{"content": "x"}'.encode("utf-16"),
    "a byte order mark": '\ufeff{"content": "x"}'.encode(),
    "NUL around": b'\0{"content": "x"}\0',
    "a raw line break in a text": b'{"content": "a\nb"}',
}


async def test_a_body_that_is_no_object_is_malformed(caller: Caller) -> None:
    for name, body in BROKEN.items():
        answer = await caller.call("POST", PATH, body)

        assert (answer.status, answer.reason) == (400, "MALFORMED_MESSAGE"), name
        assert "connection" not in answer.headers, name
    assert (await caller.call("POST", PATH, {"content": "x"})).status == 200


async def test_half_a_character_in_a_text_is_refused_by_name(caller: Caller) -> None:
    for body, field in (
        (b'{"content": "\\ud800"}', "content"),
        (b'{"custom_id": "a\\udc00b", "content": "x"}', "custom_id"),
        (b'{"metadata": {"a": "\\ud800"}, "content": "x"}', "metadata"),
        (b'{"containerTags": ["\\ud800"], "content": "x"}', "containerTags[0]"),
        (b'{"mode": "\\ud800", "content": "x"}', "mode"),
    ):
        answer = await caller.call("POST", PATH, body)
        assert (answer.status, answer.fields) == (400, [field])
    # Both halves are one character.
    answer = await caller.call("POST", PATH, b'{"content": "\\ud83d\\ude00"}')
    assert answer.status == 200


async def test_more_values_than_any_request_has_are_too_large(caller: Caller) -> None:
    for body in (
        b'{"content": [' + b"[]," * MAX_VALUES + b"[]]}",
        b'{"content": [' + b"1," * MAX_VALUES + b"1]}",
        b'{"content": [' + b'"[[",' * MAX_VALUES + b"1]}",
    ):
        answer = await caller.call("POST", PATH, body)
        assert (answer.status, answer.reason) == (413, "MESSAGE_TOO_LARGE")
        assert answer.headers["x-should-retry"] == "false"


async def test_brackets_and_commas_in_texts_are_no_values(caller: Caller) -> None:
    text = '[{",\\' * 100_000
    answer = await caller.call("POST", PATH, {"content": text, "title": '\\"[[['})

    assert answer.status == 200
    document = await caller.call("GET", f"{PATH}/{answer.json['receipt']['id']}")
    assert document.json["document"]["content"] == text


async def test_numbers_that_a_double_cannot_hold_are_refused_by_name(caller: Caller) -> None:
    for number in ("9007199254740992", "-9007199254740993", "1e400", "1" * 400):
        body = f'{{"content": "x", "metadata": {{"a": {number}}}}}'.encode()
        answer = await caller.call("POST", PATH, body)
        assert (answer.status, answer.reason) == (400, "INVALID_REQUEST")
        assert answer.fields[0].startswith("metadata")


async def test_nul_is_refused_by_name(caller: Caller) -> None:
    answer = await caller.call("POST", PATH, {"content": "x", "customId": "a\0b"})
    assert (answer.status, answer.fields) == (400, ["customId"])
    answer = await caller.call("POST", PATH, {"content": "x", "metadata": {"a": "\0"}})
    assert answer.status == 400
    assert answer.fields[0].startswith("metadata")


async def test_unknown_fields_are_named(caller: Caller) -> None:
    body = {
        "content": "x",
        "contents": "x",
        "metadata": {"anything": 1},
        "conversation": {"messages": [{"text": "a", "txt": "b"}]},
        "x" * 5_000: 1,
        "conTent": 1,
        "constructor": {"a": 1},
    }
    answer = await caller.call("POST", PATH, body)

    assert (answer.status, answer.reason) == (400, "INVALID_REQUEST")
    assert answer.fields == [
        "contents",
        "conversation.messages[0].txt",
        "x" * 100,
        "conTent",
        "constructor",
    ]


async def test_a_field_in_both_spellings_is_refused(caller: Caller) -> None:
    body = {"content": "x", "customId": "a", "custom_id": "b"}
    answer = await caller.call("POST", PATH, body)
    assert (answer.status, answer.fields) == (400, ["custom_id"])


async def test_ten_thousand_conditions_are_refused(caller: Caller) -> None:
    conditions = [{"match": {"key": "k", "value": "v"}}] * 10_000
    for filters in (
        {"allOf": {"filters": conditions}},
        {"all_of": {"filters": [{"any_of": {"filters": conditions[:150]}}] * 60}},
    ):
        answer = await caller.call("POST", "/v1/documents:list", {"filter": filters})
        assert (answer.status, answer.reason) == (400, "INVALID_REQUEST")
        assert answer.fields[0].startswith("filter")


# --- wrong types -----------------------------------------------------------------

KINDS: dict[str, tuple[Any, ...]] = {
    "string": (5, 1.5, True, {}, {"a": "b"}),
    "bytes": (5, True, {}, "&&&", "ä"),
    "bool": (0, 1, "true", {}, 1.5),
    "number": (True, {}, "x", "", "１", "1_0", "0x1", " 1"),
    "integer": (1.5, "1.5", 1e300, 10**30, "1e30"),
    "enum": (True, 1.5, "NO_SUCH_VALUE", "", "1", {}, 2**40, -1, 99),
    "google.protobuf.Timestamp": (
        *(5, True, {}, "", "yesterday", "2026-01-01", "2026-13-01T00:00:00Z"),
        *("2026-01-01T00:00:00", "99999-01-01T00:00:00Z", "9" * 5_000),
    ),
    "google.protobuf.Struct": (5, True, "x", 1.5),
    "message": (5, True, "x", 1.5, {"noSuchField": 1}),
}
"""Values of other types."""


def kind_of(field: FieldDescriptor) -> tuple[str, ...]:
    if field.message_type is not None:
        name = field.message_type.full_name
        return (name if name in KINDS else "message",)
    if field.enum_type is not None:
        return ("enum",)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return ("bytes",)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return ("string",)
        case FieldDescriptor.CPPTYPE_BOOL:
            return ("bool",)
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return ("number",)
    return ("number", "integer")


def wrong_values(field: FieldDescriptor) -> Iterator[Any]:
    values = [value for kind in kind_of(field) for value in KINDS[kind]]
    if not field.is_repeated:
        yield from values
        # An object is no list of its fields, and a text none of its characters.
        yield [1] if kind_of(field) != ("google.protobuf.Value",) else {}
        return
    yield from ([value] for value in values)
    yield from (5, "x", True, {"0": "x"}, [None], [[]])


def body_with(path: Path, value: Any, *, proto_names: bool) -> Any:
    """An object with the value at the path."""
    for field in reversed(path[1:]):
        value = {field.name if proto_names else field.json_name: value}
        above = path[path.index(field) - 1]
        value = [value] if above.is_repeated else value
    return {path[0].name if proto_names else path[0].json_name: value}


def spelled(path: Path, *, proto_names: bool) -> str:
    names = [field.name if proto_names else field.json_name for field in path]
    return ".".join(
        f"{name}[0]" if field.is_repeated and field is not path[-1] else name
        for name, field in zip(names, path, strict=True)
    )


def with_body() -> list[MethodDescriptor]:
    """The methods that take all fields in a body: over Connect's paths, all unary ones."""
    return [method for method in contract.methods() if not method.server_streaming]


@pytest.mark.parametrize("method", with_body(), ids=lambda method: str(method.name))
async def test_every_field_of_another_type_is_refused_by_name(
    caller: Caller, method: MethodDescriptor
) -> None:
    """By the name that the caller wrote, in either spelling."""
    # The stubs type extensions of google.api as those of other messages.
    options: Any = method.GetOptions()
    rule = options.Extensions[annotations_pb2.http]
    target = rule.post if rule.post and "{" not in rule.post else contract.path_of(method)
    for fields in contract.paths(method.input_type):
        for proto_names in (False, True):
            where = spelled(fields, proto_names=proto_names)
            for value in wrong_values(fields[-1]):
                body = json.dumps(body_with(fields, value, proto_names=proto_names)).encode()
                answer = await caller.call("POST", target, body)
                assert answer.status == 400, (where, value, answer.body)
                named = violations(answer.json)
                assert any(name.startswith(where) for name in named), (where, value, named)


def violations(body: Any) -> list[str]:
    """The fields that are named, in the form of /v1 or in a message of Connect's form."""
    if "error" in body:
        return [
            violation.get("field", "")
            for detail in body["error"]["details"]
            for violation in detail.get("fieldViolations", ())
        ]
    return [part.partition(":")[0].strip() for part in body["message"].split(";")]


def test_the_table_has_every_type_of_the_contract() -> None:
    def kinds(descriptor: Descriptor) -> Iterator[str]:
        for path in contract.paths(descriptor):
            yield from kind_of(path[-1])

    used = {kind for method in contract.methods() for kind in kinds(method.input_type)}
    assert used == set(KINDS)
