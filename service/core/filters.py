"""Filters: a boolean tree of tests on metadata keys and system fields."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

MAX_LEVELS = 5
MAX_CONDITIONS = 200


class Field(Enum):
    """System fields a condition can test."""

    CREATED = "created"
    UPDATED = "updated"
    DOCUMENT_DATE = "document_date"
    EVENT_DATES = "event_dates"
    STATUS = "status"
    STATIC = "static"


class Op(Enum):
    """Order comparisons, of numbers or instants."""

    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


@dataclass(frozen=True, slots=True)
class EqualsString:
    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class EqualsNumber:
    value: float


@dataclass(frozen=True, slots=True)
class EqualsBool:
    value: bool


@dataclass(frozen=True, slots=True)
class CompareNumber:
    op: Op
    value: float


@dataclass(frozen=True, slots=True)
class CompareInstant:
    """`value` in microseconds."""

    op: Op
    value: int


@dataclass(frozen=True, slots=True)
class Contains:
    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class ListContains:
    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    pass


Test: TypeAlias = (
    EqualsString
    | EqualsNumber
    | EqualsBool
    | CompareNumber
    | CompareInstant
    | Contains
    | ListContains
    | Exists
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A strict test; false on a missing key and on a value of another kind."""

    subject: str | Field
    test: Test


@dataclass(frozen=True, slots=True)
class Match:
    """The loose test of the original API: text against string, bool or number."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class AllOf:
    operands: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    operands: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    operand: Filter


Filter: TypeAlias = AllOf | AnyOf | Not | Condition | Match


class Target(Enum):
    """What is filtered."""

    DOCUMENT = "document"
    MEMORY = "memory"


_INSTANTS = (CompareInstant,)
_FIELD_TESTS: dict[Field, tuple[type, ...]] = {
    Field.CREATED: _INSTANTS,
    Field.UPDATED: _INSTANTS,
    Field.DOCUMENT_DATE: (CompareInstant, Exists),
    Field.EVENT_DATES: (CompareInstant, Exists),
    Field.STATUS: (EqualsString,),
    Field.STATIC: (EqualsBool,),
}
_FIELD_RULES: dict[Field, str] = {
    Field.CREATED: "takes an instant test",
    Field.UPDATED: "takes an instant test",
    Field.DOCUMENT_DATE: "takes an instant test or exists",
    Field.EVENT_DATES: "takes an instant test or exists",
    Field.STATUS: "takes equals_string",
    Field.STATIC: "takes equals_bool",
}
_ONLY: dict[Field, Target] = {
    Field.EVENT_DATES: Target.MEMORY,
    Field.STATIC: Target.MEMORY,
    Field.STATUS: Target.DOCUMENT,
}


def field_violation(field: Field, test: Test, target: Target) -> str | None:
    """Why this test of a system field can never be right; None when it can."""
    only = _ONLY.get(field)
    if only is not None and only is not target:
        return f"only a {only.value} has this field"
    if not isinstance(test, _FIELD_TESTS[field]):
        return _FIELD_RULES[field]
    if isinstance(test, EqualsString) and test.ignore_case:
        return "cannot ignore case"
    return None


def loose_number(text: str) -> float | None:
    """The number a loose condition's text is equal to, if it is one."""
    if not text or text[0] not in "+-.0123456789" or len(text) > 64 or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 2.0**53 else None


def weight(tree: Filter) -> int:
    """How much memory a filter takes, in bytes, roughly."""
    match tree:
        case AllOf(operands) | AnyOf(operands):
            return 100 + sum(weight(operand) for operand in operands)
        case Not(operand):
            return 100 + weight(operand)
        case Match(_, value):
            return 200 + len(value)
        case Condition(_, EqualsString(value) | Contains(value) | ListContains(value)):
            return 200 + len(value)
        case Condition():
            return 200


def is_volatile(tree: Filter) -> bool:
    """Whether it tests what changes without an entry in the change log: stages of processing."""
    match tree:
        case AllOf(operands) | AnyOf(operands):
            return any(is_volatile(operand) for operand in operands)
        case Not(operand):
            return is_volatile(operand)
        case Condition(subject):
            return subject is Field.STATUS
        case _:
            return False
