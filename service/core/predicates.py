"""Filters as functions: one pass over a row, that ends as soon as the answer is known.

They are equivalent to the compiled form in `storage.filters`, over the comparable form
that `core.metadata` writes. For a filter of many conditions they are far cheaper than an
expression that parses the row's metadata for each of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Any, Final, TypeAlias, assert_never

from service.core import filters as f
from service.core.metadata import fold
from service.core.model import Status

Row: TypeAlias = tuple[Mapping[str, Any], Sequence[Any]]
"""An object's comparable metadata, and the values of its system fields."""

Predicate: TypeAlias = Callable[[Row], bool]

_COMPARE: Final[dict[f.Op, Callable[[Any, Any], bool]]] = {
    f.Op.GT: gt,
    f.Op.GE: ge,
    f.Op.LT: lt,
    f.Op.LE: le,
}


def conditions(tree: f.Filter) -> int:
    """How many tests a filter has."""
    match tree:
        case f.AllOf(operands) | f.AnyOf(operands):
            return sum(map(conditions, operands))
        case f.Not(operand):
            return conditions(operand)
        case _:
            return 1


def fields_of(tree: f.Filter) -> frozenset[f.Field]:
    """The system fields that a filter tests."""
    match tree:
        case f.AllOf(operands) | f.AnyOf(operands):
            return frozenset().union(*map(fields_of, operands))
        case f.Not(operand):
            return fields_of(operand)
        case f.Condition(f.Field() as field, _):
            return frozenset((field,))
        case _:
            return frozenset()


def reads_metadata(tree: f.Filter) -> bool:
    """Whether a filter tests any key of the metadata."""
    match tree:
        case f.AllOf(operands) | f.AnyOf(operands):
            return any(map(reads_metadata, operands))
        case f.Not(operand):
            return reads_metadata(operand)
        case f.Condition(f.Field(), _):
            return False
        case _:
            return True


def predicate(tree: f.Filter, fields: Sequence[f.Field]) -> Callable[[str, Sequence[Any]], bool]:
    """A function of a comparable form and of the values of `fields`, in their order.

    A field that is not among `fields` belongs to other objects only: its tests are false.
    """
    holds = _compiled(tree, {field: number for number, field in enumerate(fields)})
    if not reads_metadata(tree):
        return lambda _, values: holds(({}, values))
    loads = json.loads
    return lambda comparable, values: holds((loads(comparable), values))


def _compiled(tree: f.Filter, places: Mapping[f.Field, int]) -> Predicate:
    match tree:
        case f.AllOf(operands):
            return _all_of([_compiled(operand, places) for operand in operands])
        case f.AnyOf(operands):
            return _any_of([_compiled(operand, places) for operand in operands])
        case f.Not(operand):
            holds = _compiled(operand, places)
            return lambda row: not holds(row)
        case f.Match(key, value):
            return _loose(key, value)
        case f.Condition(subject, test):
            if isinstance(subject, str):
                return _strict(subject, test)
            return _system(places.get(subject), subject, test)
        case _:
            assert_never(tree)


def _all_of(operands: Sequence[Predicate]) -> Predicate:
    def all_of(row: Row) -> bool:
        for holds in operands:  # noqa: SIM110  (a generator takes twice as long)
            if not holds(row):
                return False
        return True

    return all_of


def _any_of(operands: Sequence[Predicate]) -> Predicate:
    def any_of(row: Row) -> bool:
        for holds in operands:  # noqa: SIM110
            if holds(row):
                return True
        return False

    return any_of


def _loose(key: str, value: str) -> Predicate:
    boolean = int(value == "true") if value in ("true", "false") else None
    number = f.loose_number(value)

    def loose(row: Row) -> bool:
        parts = row[0].get(key)
        if parts is None:
            return False
        if parts.get("s") == value:
            return True
        if boolean is not None and parts.get("b") == boolean:
            return True
        return number is not None and bool(parts.get("n") == number)

    return loose


def _strict(key: str, test: f.Test) -> Predicate:
    match test:
        case f.EqualsString(value, ignore_case):
            return _equals(key, "f", fold(value)) if ignore_case else _equals(key, "s", value)
        case f.EqualsNumber(value):
            return _equals(key, "n", value)
        case f.EqualsBool(value):
            return _equals(key, "b", int(value))
        case f.CompareNumber(op, value):
            return _ordered(key, "n", op, value)
        case f.CompareInstant(op, value):
            return _ordered(key, "i", op, value)
        case f.Contains(value, ignore_case):
            return _contains(key, "f", fold(value)) if ignore_case else _contains(key, "s", value)
        case f.ListContains(value, ignore_case):
            return _contains(key, "g", fold(value)) if ignore_case else _contains(key, "l", value)
        case f.Exists():
            return lambda row: key in row[0]
        case _:
            assert_never(test)


def _equals(key: str, part: str, wanted: str | float) -> Predicate:
    def equals(row: Row) -> bool:
        parts = row[0].get(key)
        return parts is not None and bool(parts.get(part) == wanted)

    return equals


def _contains(key: str, part: str, wanted: str) -> Predicate:
    """A substring of a string, or an element of a list."""

    def contains(row: Row) -> bool:
        parts = row[0].get(key)
        return parts is not None and part in parts and wanted in parts[part]

    return contains


def _ordered(key: str, part: str, op: f.Op, limit: float) -> Predicate:
    compare = _COMPARE[op]

    def ordered(row: Row) -> bool:
        parts = row[0].get(key)
        return parts is not None and part in parts and compare(parts[part], limit)

    return ordered


def _system(place: int | None, field: f.Field, test: f.Test) -> Predicate:
    if place is None:
        return lambda _: False
    match test:
        case f.CompareInstant(op, value) if field is f.Field.EVENT_DATES:
            compare = _COMPARE[op]
            return lambda row: any(compare(one, value) for one in json.loads(row[1][place]))
        case f.Exists() if field is f.Field.EVENT_DATES:
            return lambda row: bool(json.loads(row[1][place]))
        case f.CompareInstant(op, value):
            compare = _COMPARE[op]
            return lambda row: row[1][place] is not None and compare(row[1][place], value)
        case f.Exists():
            return lambda row: row[1][place] is not None
        case f.EqualsString(value, _):
            return _field_equals(place, Status[value])
        case f.EqualsBool(value):
            return _field_equals(place, int(value))
        case _:
            raise AssertionError(f"{test} cannot test {field}")


def _field_equals(place: int, wanted: int) -> Predicate:
    return lambda row: bool(row[1][place] == wanted)
