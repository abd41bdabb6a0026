"""What a filter says of one thing, read off the contract."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from palimpsest.v1.filter_pb2 import Condition, Filter, FilterField, MatchCondition

Value = str | float | bool | list[str]
Metadata = Mapping[str, Value]

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d))?", re.ASCII)
_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_NUMBERS: Mapping[str, Callable[[float, float], bool]] = {
    "equals_number": lambda value, given: value == given,
    "greater_than": lambda value, given: value > given,
    "greater_or_equal": lambda value, given: value >= given,
    "less_than": lambda value, given: value < given,
    "less_or_equal": lambda value, given: value <= given,
}
_INSTANTS: Mapping[str, Callable[[int, int], bool]] = {
    "after": lambda value, given: value > given,
    "at_or_after": lambda value, given: value >= given,
    "before": lambda value, given: value < given,
    "at_or_before": lambda value, given: value <= given,
}


@dataclass(frozen=True)
class Subject:
    """What a filter looks at: metadata, and system fields.

    Args:
        metadata: By key.
        instants: Microseconds, of those fields that are instants; none: not there.
        status: Of a document, without prefix.
        static: Of a memory.
    """

    metadata: Metadata
    instants: Mapping[FilterField.ValueType, Sequence[int]]
    status: str = ""
    static: bool = False


def holds(filter_: Filter, subject: Subject) -> bool:
    """Whether the filter is true of the subject."""
    match filter_.WhichOneof("expression"):
        case "all_of":
            return all(holds(operand, subject) for operand in filter_.all_of.filters)
        case "any_of":
            return any(holds(operand, subject) for operand in filter_.any_of.filters)
        case "negated":
            return not holds(filter_.negated, subject)
        case "match":
            return _loosely(filter_.match, subject.metadata)
        case _:
            condition = filter_.condition
            if condition.WhichOneof("subject") == "field":
                return _of_field(condition, subject)
            value = subject.metadata.get(condition.key)
            return value is not None and _of_value(condition, value)


def instant(text: str) -> int | None:
    """Microseconds of an RFC 3339 date-time or date; None for other texts."""
    if not _INSTANT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)


def _loosely(match: MatchCondition, metadata: Metadata) -> bool:
    value = metadata.get(match.key)
    if isinstance(value, bool):
        equal = match.value == str(value).lower()
    elif isinstance(value, float):
        equal = bool(_DECIMAL.fullmatch(match.value)) and float(match.value) == value
    else:
        equal = value == match.value
    return equal != match.negate


def _of_field(condition: Condition, subject: Subject) -> bool:
    test = condition.WhichOneof("test")
    if condition.field == FilterField.FILTER_FIELD_STATUS:
        return subject.status == condition.equals_string
    if condition.field == FilterField.FILTER_FIELD_STATIC:
        return subject.static == condition.equals_bool
    instants = subject.instants[condition.field]
    if test == "exists":
        return bool(instants)
    given = instant(getattr(condition, str(test)))
    assert given is not None
    return any(_INSTANTS[str(test)](value, given) for value in instants)


def _of_value(condition: Condition, value: Value) -> bool:
    test = str(condition.WhichOneof("test"))
    given = getattr(condition, test)
    fold: Callable[[str], str] = str.casefold if condition.ignore_case else str
    if test == "exists":
        return True
    if test == "equals_bool":
        return isinstance(value, bool) and value == given
    if test in _NUMBERS:
        number = isinstance(value, float) and not isinstance(value, bool)
        return number and _NUMBERS[test](float(value), given)  # type: ignore[arg-type]
    if test == "list_contains":
        return isinstance(value, list) and fold(given) in map(fold, value)
    if not isinstance(value, str):
        return False
    if test in _INSTANTS:
        moment, limit = instant(value), instant(given)
        assert limit is not None
        return moment is not None and _INSTANTS[test](moment, limit)
    return fold(given) in fold(value) if test == "contains" else fold(given) == fold(value)
