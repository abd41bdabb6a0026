"""Hostile values for a field of any kind, and what the contract says of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct, Value

from palimpsest.v1.filter_pb2 import Filter, FilterList, MatchCondition
from tests.hostile.contract import (
    FREE_FILE,
    FREE_TEXT,
    FUTURE,
    PAST,
    Samples,
    list_rules,
    message_of,
    numbers_of,
    rules,
)

EARLIEST: Final = -62_135_596_800
LATEST: Final = 253_402_300_799

BYTE_EXACT: Final = frozenset({"content", "new_content", "query", "text"})
"""Texts kept or compared byte for byte. Every other one refuses NUL, or is compared with
what can hold none (COMPARED)."""

COMPARED: Final = frozenset({"etag", "page_token"})


class Verdict(Enum):
    """What must become of a value."""

    TAKEN = "taken"
    REFUSED = "refused"
    EITHER = "either"


TAKEN, REFUSED, EITHER = Verdict


@dataclass(frozen=True)
class Case:
    """`value` is the whole list for a repeated field."""

    name: str
    value: Any
    verdict: Verdict = EITHER


def cases(field: FieldDescriptor, samples: Samples) -> Iterator[Case]:
    """Every hostile value for a field."""
    single = list(_single(field))
    if not field.is_repeated:
        yield from single
        return
    yield from (Case(case.name, [case.value], case.verdict) for case in single)
    yield from _lists(field, samples)


def _single(field: FieldDescriptor) -> Iterator[Case]:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            yield from _files(field)
        case FieldDescriptor.CPPTYPE_STRING:
            yield from _texts(field)
        case FieldDescriptor.CPPTYPE_BOOL:
            yield Case("false", False, REFUSED if rules(field).bool.const else EITHER)
            yield Case("true", True)
        case FieldDescriptor.CPPTYPE_ENUM:
            yield from _enums(field)
        case FieldDescriptor.CPPTYPE_DOUBLE:
            yield from _doubles(field)
        case FieldDescriptor.CPPTYPE_MESSAGE:
            yield from _messages(field)
        case _:
            yield from _integers(field)


def _files(field: FieldDescriptor) -> Iterator[Case]:
    limit = rules(field).bytes.max_len
    yield Case("empty", b"", REFUSED if rules(field).bytes.min_len else EITHER)
    yield Case("a file", FREE_FILE, TAKEN)
    yield Case("a damaged archive", b"PK\3\4word/\0\xff", TAKEN)
    for data in (b"x", b"\0", b"\xff" * 100, b"PK\3\4", b"%PDF"):
        yield Case("no file", data, REFUSED)
    yield Case("bytes at the limit", FREE_FILE.ljust(limit), TAKEN)
    yield Case("bytes past the limit", FREE_FILE.ljust(limit + 1), REFUSED)


def _texts(field: FieldDescriptor) -> Iterator[Case]:
    rule = rules(field).string
    optional = field.has_presence or rules(field).ignore
    must = bool(rule.min_len or rule.min_bytes) and not (optional and not field.has_presence)
    yield Case("empty", "", REFUSED if must else EITHER)
    nul = field.name not in BYTE_EXACT | COMPARED
    for name, text in _TEXTS.items():
        yield Case(name, text, REFUSED if nul and "\0" in text else EITHER)
    yield Case("newline after it", FREE_TEXT + "\n")
    if rule.uuid:
        for text in ("x", "0" * 32, "{00000000-0000-0000-0000-000000000001}", "0" * 10_000):
            yield Case("no UUID", text, REFUSED)
    if rule.max_len:
        # Others are dates, tags, or tokens.
        free = TAKEN if field.name in BYTE_EXACT or "x00" in rule.pattern else EITHER
        for name, char in (("ASCII", "x"), ("astral", "\U0001f600"), ("combining", "\u0301")):
            fits = free if char.isalnum() or r"\p{L}" not in rule.pattern else REFUSED
            yield Case(f"{name} at the limit", char * rule.max_len, fits)
            yield Case(f"{name} past the limit", char * (rule.max_len + 1), REFUSED)
    if rule.max_bytes:
        fits = rule.max_bytes // 3
        yield Case("bytes at the limit", "x" * rule.max_bytes, TAKEN)
        yield Case("bytes past the limit", "x" * (rule.max_bytes + 1), REFUSED)
        yield Case("characters across the limit", "\u20ac" * (fits + 1), REFUSED)
        yield Case("characters up to the limit", "\u20ac" * fits, TAKEN)
    yield Case("a megabyte and more", "x" * 1_200_000)


_TEXTS: Final = {
    "NUL": "a\0b",
    "NUL alone": "\0",
    "control characters": "a\x01\x08\x0b\x1b[2J\x7f\x85\x9f",
    "line breaks": "a\r\n\u2028\u2029b",
    "right to left": "\u202eabc\u202c \u200f\u2066\u05d0\u2069",
    "combining": "e" + "\u0301\u0489" * 40,
    "decomposed": "\u0041\u030a",
    "joined": "\U0001f468\u200d\U0001f469\u200d\U0001f466",
    "not characters": "\ufffe\uffff\U0010ffff",
    "byte order mark": "\ufeffx",
    "private": "\ue000\U000f0000",
    "case that grows": "\u0130\u1e9e\ufb03",
    "blank": " \t\u00a0\u3000",
    "SQL": "'; DROP TABLE documents; --",
    "format": "%s%n{0}${jndi:x}",
    "file": "../../etc/passwd",
    "wildcards": "%_*?[a-z]\\",
    "kind of a document": "doc_" + "0" * 22,
    "kind of a memory": "mem_" + "0" * 22,
    "not a date": "2026-02-30",
    "first day": "0001-01-01",
    "last instant": "9999-12-31T23:59:59.999999999Z",
    "before the first day": "0000-12-31",
    "year of five digits": "10000-01-01",
    "out of the calendar by its zone": "9999-12-31T23:59:59-23:59",
    "before it by its zone": "0001-01-01T00:00:00+23:59",
    "leap second at the end": "9999-12-31T23:59:60Z",
    "digits of another script": "\u0662\u0660\u0662\u0666-01-01",
}


def _integers(field: FieldDescriptor) -> Iterator[Case]:
    kind = _INTEGERS[field.cpp_type]
    bits = int(kind.removeprefix("u").removeprefix("int"))
    least, most = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    rule = getattr(rules(field), kind)
    low = rule.gte if rule.HasField("gte") else None
    high = rule.lte if rule.HasField("lte") else None
    for value in (least, -1, 0, 1, most):
        if not least <= value <= most:
            continue
        outside = (low is not None and value < low) or (high is not None and value > high)
        yield Case(f"{value}", value, REFUSED if outside else TAKEN)
    if high is not None:
        yield Case("at the limit", high, TAKEN)
        yield Case("past the limit", high + 1, REFUSED)


_INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: "int32",
    FieldDescriptor.CPPTYPE_INT64: "int64",
    FieldDescriptor.CPPTYPE_UINT32: "uint32",
    FieldDescriptor.CPPTYPE_UINT64: "uint64",
}


def _enums(field: FieldDescriptor) -> Iterator[Case]:
    known = set(numbers_of(field))
    yield Case("unspecified", 0, REFUSED)
    for number in sorted(known - {0}):
        yield Case(f"value {number}", number)
    for number in (-1, max(known) + 1, 2**31 - 1, -(2**31)):
        yield Case(f"unknown {number}", number, REFUSED)


def _doubles(field: FieldDescriptor) -> Iterator[Case]:
    refused = REFUSED if rules(field).double.finite else EITHER
    yield from (Case(str(value), value, refused) for value in (math.nan, math.inf, -math.inf))
    yield from (
        Case(str(value), value) for value in (0.0, -0.0, 1e308, -1e308, 5e-324, 2.0**53, 0.1)
    )


def _messages(field: FieldDescriptor) -> Iterator[Case]:
    match message_of(field).full_name:
        case "google.protobuf.Timestamp":
            yield from _stamps(field)
        case "google.protobuf.Struct":
            yield from _structs()
        case Filter.DESCRIPTOR.full_name:
            yield from _filters(inner=field.containing_type in _FILTERS)
        case _:
            yield Case("empty", GetMessageClass(message_of(field))())


def _stamps(field: FieldDescriptor) -> Iterator[Case]:
    made = GetMessageClass(message_of(field))
    ordinary = PAST if field.name == "as_of" else FUTURE

    def case(name: str, seconds: int, nanos: int, verdict: Verdict = EITHER) -> Case:
        return Case(name, made(seconds=seconds, nanos=nanos), verdict)

    yield case("the first instant", EARLIEST, 0)
    yield case("the last instant", LATEST, 999_999_999)
    yield case("before the first", EARLIEST - 1, 999_999_999, REFUSED)
    yield case("after the last", LATEST + 1, 0, REFUSED)
    yield case("the least", -(2**63), 0, REFUSED)
    yield case("the most", 2**63 - 1, 999_999_999, REFUSED)
    yield case("negative nanoseconds", ordinary, -1, REFUSED)
    yield case("a second of nanoseconds", ordinary, 1_000_000_000, REFUSED)
    yield case("the most nanoseconds", ordinary, 2**31 - 1, REFUSED)
    yield case("the epoch", 0, 0)
    yield case("a nanosecond", ordinary, 1)
    yield case("before the epoch", -1, 500_000_000)


def _structs() -> Iterator[Case]:
    def case(name: str, verdict: Verdict, **fields: Any) -> Case:
        return Case(name, _struct(fields), verdict)

    yield Case("no keys", Struct(), TAKEN)
    yield Case("as many keys as allowed", _struct({f"k{n}": n for n in range(100)}), TAKEN)
    yield Case("a key too many", _struct({f"k{n}": n for n in range(101)}), REFUSED)
    yield Case("a huge map", _struct({f"k{n}": n for n in range(50_000)}), REFUSED)
    yield case("as long as allowed", TAKEN, k="x" * (16 * 1024 - len('{"k":""}')))
    yield case("a byte too long", REFUSED, k="x" * (16 * 1024 - len('{"k":""}') + 1))
    yield case("every kind", TAKEN, s="x", n=1.5, b=False, l=["a", ""], o=None, e=[])
    yield case("hostile text", TAKEN, **{f"k{n}": t for n, t in enumerate(_without_nul())})
    yield case("hostile texts", TAKEN, k=_without_nul())
    yield case("edges of numbers", TAKEN, a=2.0**53 - 1, b=-(2.0**53) + 1, c=5e-324, d=-0.0)
    for name, value in _BAD_VALUES.items():
        yield case(name, REFUSED, k=value)
    yield Case("a value of no kind", Struct(fields={"k": Value()}))
    yield Case("a key as long as allowed", _struct({"k" * 64: 1}), TAKEN)
    for key in ("", " ", "a b", "k" * 65, "a\0", "\u00e9", "a\n", "$.k", '"', "\u202ek"):
        yield Case(f"key {key!a}", _struct({key: 1}), REFUSED)
    for key in ("a.b", "__proto__", "-", ".", "0"):
        yield Case(f"key {key}", _struct({key: 1}), TAKEN)
    deep = Value(string_value="x")
    for _ in range(20):
        deep = Value(struct_value=Struct(fields={"k": deep}))
    yield Case("nested", Struct(fields={"k": deep}), REFUSED)


_BAD_VALUES: Final[dict[str, Any]] = {
    "NaN": math.nan,
    "infinity": math.inf,
    "-infinity": -math.inf,
    "2^53": 2.0**53,
    "-2^53": -(2.0**53),
    "an object": {"a": 1},
    "a list of numbers": [1.0],
    "a list with null": ["a", None],
    "a list in a list": [["a"]],
    "NUL": "a\0b",
    "NUL in a list": ["a", "\0"],
}


def _without_nul() -> list[str]:
    return [text for text in _TEXTS.values() if "\0" not in text]


def _struct(fields: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(fields)
    return made


_FILTERS: Final = (Filter.DESCRIPTOR, FilterList.DESCRIPTOR)


def _filters(*, inner: bool) -> Iterator[Case]:
    """`inner`: the filter is part of another, which takes levels of its own."""
    leaf = Filter(match=MatchCondition(key="k", value="v"))

    def all_of(*filters: Filter) -> Filter:
        return Filter(all_of=FilterList(filters=filters))

    def negated(times: int) -> Filter:
        tree = leaf
        for _ in range(times):
            tree = Filter(negated=tree)
        return tree

    yield Case("nothing", Filter(), REFUSED)
    yield Case("5 levels", negated(4), REFUSED if inner else TAKEN)
    yield Case("6 levels", negated(5), REFUSED)
    yield Case("40 levels", negated(39), REFUSED)
    yield Case("no operands", all_of(), REFUSED)
    yield Case("200 conditions", all_of(*[leaf] * 200), TAKEN)
    yield Case("201 conditions in one list", all_of(*[leaf] * 201), REFUSED)
    yield Case("201 conditions", all_of(all_of(*[leaf] * 100), all_of(*[leaf] * 101)), REFUSED)
    if not inner:
        yield Case("40,000 conditions", all_of(*[all_of(*[leaf] * 200)] * 200), REFUSED)


def _lists(field: FieldDescriptor, samples: Samples) -> Iterator[Case]:
    rule = list_rules(field)
    sample = samples.value(field)
    yield Case("no elements", [], REFUSED if rule.min_items else EITHER)
    if rule.unique:
        yield Case("a repeat", [sample, sample], REFUSED)
    if rule.max_items:
        distinct = rule.unique and isinstance(sample, str)
        many = [f"x{n}" if distinct else sample for n in range(20_000)]
        free = distinct or not rule.unique
        yield Case("at the limit", many[: rule.max_items], TAKEN if free else EITHER)
        yield Case("past the limit", many[: rule.max_items + 1], REFUSED)
        yield Case("many", many, REFUSED)
