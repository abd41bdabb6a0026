"""Filters of many conditions: a function of this process that statements call.

The statement is the same whatever the filter says, so that nothing is compiled for it,
and the database calls the function for each row it would otherwise evaluate an expression
for. Each connection of the backend must have the function `dialects.FILTER_FUNCTION`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

from sqlalchemy import ColumnElement, Integer, Table, literal, null
from sqlalchemy.types import TypeDecorator

from service.core import filters as f
from service.core.predicates import fields_of, predicate, reads_metadata
from service.storage.functions import FilterHolds

MANY_CONDITIONS: Final = 16
"""From so many on, a call of the function is cheaper than to compile and evaluate them."""


class Program:
    """A filter that statements refer to by its number; it lives as long as one does."""

    def __init__(self, tree: f.Filter, fields: tuple[f.Field, ...]) -> None:
        self.holds = predicate(tree, fields)
        self.number = next(_numbers)
        _programs[self.number] = self


_numbers = itertools.count(1)
_programs: WeakValueDictionary[int, Program] = WeakValueDictionary()


class _Number(TypeDecorator[Program]):
    """A program as a parameter: the statement keeps it alive."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Program | None, _: Any) -> int | None:
        return None if value is None else value.number


def call(tree: f.Filter, table: Table, fields: Mapping[f.Field, Any]) -> ColumnElement[bool]:
    """A condition that is true or false, never NULL, on a row of `table`."""
    used = tuple(field for field in fields if field in fields_of(tree))
    comparable = table.c.comparable if reads_metadata(tree) else null()
    program = literal(Program(tree, used), _Number())
    return FilterHolds(program, comparable, *(fields[field] for field in used))


def holds(number: int, comparable: str | None, values: Sequence[Any]) -> bool:
    """What the function answers for a row: whether program `number` is true of it."""
    return _programs[number].holds(comparable or "{}", values)
