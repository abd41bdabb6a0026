"""Filters compiled to SQL, over the comparable form that `core.metadata` writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from sqlalchemy import ColumnElement, Table, and_, false, func, literal, not_, or_

from service.core import filters as f
from service.core.metadata import fold
from service.core.model import Status
from service.core.predicates import conditions
from service.core.times import EARLIEST, LATEST
from service.storage import filter_programs
from service.storage.functions import (
    AnyInstant,
    TextPosition,
    calls_functions,
    instant_part,
    json_has,
    json_part,
    number_part,
)

SqlFilter = ColumnElement[bool]


def compile_filter(
    tree: f.Filter, table: Table, fields: Mapping[f.Field, Any], dialect: str
) -> SqlFilter:
    """A condition that is true or false, never NULL, on a row of `table`.

    It is one term to the planner, which hundreds of them lead astray.

    Args:
        tree: The filter, already checked against the contract.
        table: Has the column `comparable`.
        fields: The columns that system fields stand for.
        dialect: The name of the dialect that the statement is for.
    """
    if calls_functions(dialect) and conditions(tree) >= filter_programs.MANY_CONDITIONS:
        return filter_programs.call(tree, table, fields)
    return _known(_compiled(tree, table, fields))


def _compiled(tree: f.Filter, table: Table, fields: Mapping[f.Field, Any]) -> SqlFilter:
    match tree:
        case f.AllOf(operands):
            return and_(*(_compiled(o, table, fields) for o in operands))
        case f.AnyOf(operands):
            return or_(*(_compiled(o, table, fields) for o in operands))
        case f.Not(operand):
            return not_(_compiled(operand, table, fields))
        case f.Match(key, value):
            return _known(_loose(table, key, value))
        case f.Condition(subject, test):
            if isinstance(subject, str):
                return _known(_strict(table, subject, test))
            return _known(_system(fields, subject, test))
        case _:
            assert_never(tree)


def _known(condition: ColumnElement[Any]) -> SqlFilter:
    # A missing key makes NULL; it must be false, so that its negation is true.
    return func.coalesce(condition, false())


def _part(table: Table, key: str, part: str) -> ColumnElement[Any]:
    return json_part(table.c.comparable, key, part)


def _number(table: Table, key: str, part: str) -> ColumnElement[Any]:
    return number_part(table.c.comparable, key, part)


def _loose(table: Table, key: str, value: str) -> ColumnElement[Any]:
    options: list[ColumnElement[Any]] = [func.coalesce(_part(table, key, "s") == value, false())]
    if value in ("true", "false"):
        options.append(_known(_number(table, key, "b") == int(value == "true")))
    number = f.loose_number(value)
    if number is not None:
        options.append(_known(_number(table, key, "n") == number))
    return or_(*options)


def _strict(table: Table, key: str, test: f.Test) -> ColumnElement[Any]:
    match test:
        case f.EqualsString(value, ignore_case):
            if ignore_case:
                return _part(table, key, "f") == fold(value)
            return _part(table, key, "s") == value
        case f.EqualsNumber(value):
            return _number(table, key, "n") == value
        case f.EqualsBool(value):
            return _number(table, key, "b") == int(value)
        case f.CompareNumber(op, value):
            return _ordered(_number(table, key, "n"), op, value)
        case f.CompareInstant(op, value):
            return _ordered(instant_part(table.c.comparable, key, "i"), op, value)
        case f.Contains(value, ignore_case):
            if ignore_case:
                return TextPosition(_part(table, key, "f"), literal(fold(value))) > 0
            return TextPosition(_part(table, key, "s"), literal(value)) > 0
        case f.ListContains(value, ignore_case):
            part, wanted = ("g", fold(value)) if ignore_case else ("l", value)
            return json_has(table.c.comparable, key, part, wanted)
        case f.Exists():
            return or_(*(_part(table, key, part).is_not(None) for part in ("s", "n", "b", "l")))
        case _:
            assert_never(test)


def _system(fields: Mapping[f.Field, Any], field: f.Field, test: f.Test) -> ColumnElement[Any]:
    if field not in fields:
        return false()  # Kept of other things only: as a key that is missing.
    column: ColumnElement[Any] = fields[field]
    match test:
        case f.CompareInstant(op, value) if field is f.Field.EVENT_DATES:
            low, high = {
                f.Op.GT: (value + 1, LATEST),
                f.Op.GE: (value, LATEST),
                f.Op.LT: (EARLIEST, value - 1),
                f.Op.LE: (EARLIEST, value),
            }[op]
            return AnyInstant(column, literal(low), literal(high))
        case f.CompareInstant(op, value):
            return _ordered(column, op, value)
        case f.Exists() if field is f.Field.EVENT_DATES:
            return AnyInstant(column, literal(EARLIEST), literal(LATEST))
        case f.Exists():
            return column.is_not(None)
        case f.EqualsString(value, _):
            return column == Status[value]
        case f.EqualsBool(value):
            return column.is_(value)
        case _:
            raise AssertionError(f"{test} cannot test {field}")


def _ordered(column: ColumnElement[Any], op: f.Op, value: float) -> ColumnElement[Any]:
    match op:
        case f.Op.GT:
            return column > value
        case f.Op.GE:
            return column >= value
        case f.Op.LT:
            return column < value
        case f.Op.LE:
            return column <= value
        case _:
            assert_never(op)
