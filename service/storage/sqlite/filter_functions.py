"""Filters of many conditions on SQLite: a function that each connection has.

The statement is the same whatever the filter says, so that nothing is compiled for it,
and SQLite calls the function for each row it would otherwise evaluate an expression for.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from sqlalchemy import Boolean, ColumnElement, Integer, Table, literal, null
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from service.core import filters as f
from service.core.predicates import fields_of, predicate, reads_metadata

MANY_CONDITIONS: Final = 16
"""From so many on, a call of the function is cheaper than to compile and evaluate them."""

PULSE_ROWS: Final = 8
"""Calls of the function between two looks whether the statement must stop."""

_NAME: Final = "filter_holds"


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


class _Holds(FunctionElement[bool]):
    """Whether a program (1st) holds of a comparable form (2nd) and fields (the others)."""

    inherit_cache = True
    name = _NAME
    type = Boolean()


@compiles(_Holds, "sqlite")
def _holds_sqlite(element: _Holds, compiler: Any, **kw: Any) -> str:
    return f"{_NAME}({compiler.process(element.clauses, **kw)})"


def call(tree: f.Filter, table: Table, fields: Mapping[f.Field, Any]) -> ColumnElement[bool]:
    """A condition that is true or false, never NULL, on a row of `table`."""
    used = tuple(field for field in fields if field in fields_of(tree))
    comparable = table.c.comparable if reads_metadata(tree) else null()
    program = literal(Program(tree, used), _Number())
    return _Holds(program, comparable, *(fields[field] for field in used))


def install(raw: sqlite3.Connection, must_stop: Callable[[], bool] | None = None) -> None:
    """Give a connection the function.

    Args:
        raw: The connection.
        must_stop: Asked now and then while a statement runs, in its thread.
    """
    calls = itertools.count(1)

    def holds(number: int, comparable: str | None, *values: Any) -> bool:
        if must_stop is not None and next(calls) % PULSE_ROWS == 0 and must_stop():
            raw.interrupt()
        return _programs[number].holds(comparable or "{}", values)

    raw.create_function(_NAME, -1, holds)
