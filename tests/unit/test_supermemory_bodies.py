"""JSON of callers: what is parsed, and what is said of what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.core.errors import PalimpsestError, Reason, Violation
from service.http.endpoints import HttpRequest
from service.http.supermemory.bodies import MAX_VALUES, MAX_VIOLATIONS, Fields, parse, read_body


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{'a': 1}",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": "\\udc00\\ud800"}',
        '{"a": "\n"}',
        "[" * 10_000 + "]" * 10_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        '{"a": 1}{',
        "\ufeff{}",
    ],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(PalimpsestError) as raised:
        parse(text.encode())
    assert raised.value.reason is Reason.MALFORMED_MESSAGE
    assert raised.value.message.startswith("the body is not JSON: ")


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(PalimpsestError):
        parse(b'{"a": "\xff"}')


@pytest.mark.parametrize(
    "text",
    [
        "[" + "0," * MAX_VALUES + "0]",
        "[" + "{}," * MAX_VALUES + "{}]",
        "[" + "[]," * MAX_VALUES + "[]]",
        "[" + '"",' * (MAX_VALUES + 1) + '""]',
        "{" + ",".join(f'"{n}":1' for n in range(MAX_VALUES + 1)) + "}",
    ],
)
def test_a_body_of_very_many_values_is_refused(text: str) -> None:
    with pytest.raises(PalimpsestError) as raised:
        parse(text.encode())
    assert "values" in raised.value.message


def test_separators_in_texts_are_no_values() -> None:
    value = {"a": 'x,"[{\\' * MAX_VALUES, "b\\": ["\\", ","]}
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"1", b"null", b"true"])
async def test_a_body_is_an_object(body: bytes) -> None:
    with pytest.raises(PalimpsestError) as raised:
        await read_body(HttpRequest({}, {}, {}, body))
    assert raised.value.message == "the body must be a JSON object"


async def test_without_a_body_there_are_no_members() -> None:
    for body in (b"", b" \n"):
        (await read_body(HttpRequest({}, {}, {}, body))).check()


def broken(members: Any, read: Any) -> list[Violation]:
    """What is wrong after a reader has read members."""
    fields = Fields(members)
    read(fields)
    fields.refuse_unknown()
    return fields.violations


ANYTHING = [None, True, 1, 1.5, "x", "", [], ["x"], [1], {}, {"a": 1}]

READERS: dict[str, tuple[Callable[[Fields], object], Callable[[Any], bool]]] = {
    "text": (lambda fields: fields.text("a"), lambda v: isinstance(v, str)),
    "needed": (lambda fields: fields.needed("a"), lambda v: isinstance(v, str) and v != ""),
    "boolean": (lambda fields: fields.boolean("a"), lambda v: isinstance(v, bool)),
    "number": (
        lambda fields: fields.number("a", 0, 10),
        lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    ),
    "integer": (
        lambda fields: fields.integer("a", 0, 10),
        lambda v: isinstance(v, int) and not isinstance(v, bool),
    ),
    "choice": (lambda fields: fields.choice("a", "x", "y"), lambda v: v == "x"),
    "texts": (
        lambda fields: fields.texts("a"),
        lambda v: isinstance(v, list) and all(isinstance(one, str) for one in v),
    ),
    "instant": (lambda fields: fields.instant("a"), lambda _: False),
    "elements": (
        lambda fields: fields.elements("a", 2),
        lambda v: isinstance(v, list) and len(v) > 0,
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("value", ANYTHING, ids=repr)
def test_a_member_of_the_wrong_type_is_named(reader: str, value: Any) -> None:
    read, right = READERS[reader]
    violations = broken({"a": value}, read)
    if right(value):
        assert violations == []
    else:
        assert violations
        assert all(violation.field.startswith("a") for violation in violations)


@pytest.mark.parametrize(
    "value", ["2026-05-08", "2026-05-08T12:00:00.5Z", "2026-05-08T12:00:00+02:00"]
)
def test_an_instant_is_a_date_or_a_date_time(value: str) -> None:
    assert broken({"a": value}, lambda fields: fields.instant("a")) == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("7", 7),
        (7, 7),
        (7.0, 7),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        (1.5, None),
        ("x", None),
    ],
)
def test_digits_are_a_number_or_one_as_a_string(value: Any, found: int | None) -> None:
    fields = Fields({"page": value})
    assert fields.digits("page", 1, 100) == found
    assert [violation.field for violation in fields.violations] == ([] if found else ["page"])


def test_what_is_not_read_is_not_known() -> None:
    assert broken({"a": 1, "b": 2}, lambda fields: fields.integer("a", 0, 9)) == [
        Violation("b", "is not known")
    ]


def test_very_many_faults_are_not_all_kept() -> None:
    members = {str(number): 1 for number in range(MAX_VIOLATIONS + 5)}
    assert len(broken(members, lambda _: None)) == MAX_VIOLATIONS


def test_names_of_inner_members_are_paths() -> None:
    def read(fields: Fields) -> None:
        for item in fields.objects("items", 5):
            inner = item.object("inner")
            assert inner is not None
            inner.text("name")
            inner.refuse_unknown()
            item.refuse_unknown()

    members = {"items": [{"inner": {"name": 1}}, {"inner": {"other": 1}, "more": 1}]}
    assert [violation.field for violation in broken(members, read)] == [
        "items[0].inner.name",
        "items[1].inner.other",
        "items[1].more",
    ]
