"""Many rows, and many statements, in one round trip to a server.

Rows travel as one array for each column; one of numbers as a text, which takes the driver a
tenth of the time. Statements whose results are not needed wait for the next one that is
executed, and are sent before it as one. Each of them then sees the rows as they were before
all of them: what would not come to the same is sent after the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Delete,
    Dialect,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Update,
)
from sqlalchemy.types import TypeEngine

from service.storage import dialects
from service.storage.dialects import Names
from service.storage.tables import JsonText

_PENDING: Final = "pending_statements"
_PARAMETER: Final = re.compile(r"\$(\d+)")
_TYPED: Final = re.compile(r"\$(\d+)::([A-Z]+)")

# In this order: a BigInteger is an Integer, too.
_ELEMENTS: Final[tuple[tuple[type[TypeEngine[Any]], str], ...]] = (
    (Boolean, "BOOLEAN"),
    (SmallInteger, "SMALLINT"),
    (BigInteger, "BIGINT"),
    (Integer, "INTEGER"),
    (LargeBinary, "BYTEA"),
)
_NUMBERS: Final = frozenset({"BOOLEAN", "SMALLINT", "BIGINT", "INTEGER"})


def element(of: TypeEngine[Any]) -> str:
    """The type of an array's elements that are values of such a column."""
    return next((name for known, name in _ELEMENTS if isinstance(of, known)), "VARCHAR")


class _Pending(NamedTuple):
    """A statement that waits, with parameters that count from $1."""

    table: str
    text: str
    values: tuple[object, ...]
    adds: bool = False
    """It inserts rows, and changes none that are there."""

    def goes_with(self, earlier: _Pending) -> bool:
        """Whether both come to the same in one statement as one after the other."""
        # An UPDATE before an INSERT sees none of its rows in either case.
        return self.table != earlier.table or (self.adds and earlier.text.startswith("UPDATE"))


def insert_later(
    conn: Connection,
    table: Table,
    rows: Sequence[Mapping[str, object]],
    *,
    put: Names = (),
    add: Names = (),
) -> None:
    """Insert rows of the same columns before the next statement is executed.

    Args:
        conn: A connection to a server.
        table: Where to insert.
        rows: No two have the same primary key.
        put: Columns that get the new value where the row is there already.
        add: Columns to which the new value is added then.
    """
    columns = tuple(rows[0])
    text, kinds = _insert(table, columns, put, add)
    values = tuple(
        _array(kind, [row[column] for row in rows])
        for column, kind in zip(columns, kinds, strict=True)
    )
    _enqueue(conn, _Pending(table.name, text, values, adds=not (put or add)))


def change_later(
    conn: Connection, statement: Update | Delete, values: Mapping[str, object]
) -> None:
    """Execute an UPDATE or DELETE with these values before the next statement is executed."""
    text, names = dialects.compiled(statement, conn.dialect)
    _enqueue(conn, _Pending(_table(statement), text, tuple(values[name] for name in names)))


def change_each_later(
    conn: Connection, statement: Update | Delete, rows: Sequence[Mapping[str, object]]
) -> None:
    """The same, once for each row of its parameters; no two meet on a row."""
    text, parameters = _for_arrays(statement, conn.dialect)
    arrays = tuple(_array(kind, [row[name] for row in rows]) for name, kind in parameters)
    _enqueue(conn, _Pending(_table(statement), text, arrays))


def _table(statement: Update | Delete) -> str:
    return statement.table.description


def flush(conn: Connection) -> None:
    """Execute what waits, as one statement."""
    if not dialects.is_remote(conn):
        return
    pending: list[_Pending] | None = conn.info.pop(_PENDING, None)
    if pending:
        text = _together(tuple(one.text for one in pending))
        conn.exec_driver_sql(text, tuple(chain.from_iterable(one.values for one in pending)))


def forget(conn: Connection) -> None:
    """What waits is not executed any more: its transaction has been undone."""
    conn.info.pop(_PENDING, None)


def _enqueue(conn: Connection, statement: _Pending) -> None:
    pending: list[_Pending] = conn.info.setdefault(_PENDING, [])
    if not all(statement.goes_with(one) for one in pending):
        flush(conn)
        pending = conn.info.setdefault(_PENDING, [])
    pending.append(statement)


@lru_cache(maxsize=256)
def _together(texts: tuple[str, ...]) -> str:
    """One statement of several, whose parameters are numbered on."""
    if len(texts) == 1:
        return texts[0]
    parts = []
    count = 0
    for number, text in enumerate(texts):
        parts.append(f"s{number} AS ({_renumbered(text, count)})")
        count += max(int(found) for found in _PARAMETER.findall(text))
    return f"WITH {', '.join(parts)} SELECT 1"


def _renumbered(text: str, count: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + count}", text)


@lru_cache(maxsize=256)
def _insert(
    table: Table, columns: tuple[str, ...], put: Names, add: Names
) -> tuple[str, Sequence[str]]:
    """The statement, and the kinds of its columns."""
    listed = ", ".join(columns)
    kept = [table.c[column] for column in columns]
    kinds = [element(column.type) for column in kept]
    arrays = ", ".join(_parameter(number, kind) for number, kind in enumerate(kinds, 1))
    picked = ", ".join(
        f"{column.name}::jsonb" if isinstance(column.type, JsonText) else column.name
        for column in kept
    )
    text = (
        f"INSERT INTO {table.name} ({listed}) SELECT {picked} "  # noqa: S608  (names of ours)
        f"FROM unnest({arrays}) AS given ({listed})"
    )
    if put or add:
        changes = [f"{name} = excluded.{name}" for name in put]
        changes += [f"{name} = {table.name}.{name} + excluded.{name}" for name in add]
        keys = ", ".join(column.name for column in table.primary_key)
        text += f" ON CONFLICT ({keys}) DO UPDATE SET {', '.join(changes)}"
    return text, kinds


def _parameter(number: int, kind: str) -> str:
    return f"${number}::TEXT::{kind}[]" if kind in _NUMBERS else f"${number}::{kind}[]"


def _array(kind: str, values: list[Any]) -> object:
    """An array as the driver takes it."""
    if kind not in _NUMBERS:
        return values
    return f"{{{','.join(['NULL' if value is None else str(int(value)) for value in values])}}}"


@lru_cache(maxsize=64)
def _for_arrays(
    statement: Update | Delete, dialect: Dialect
) -> tuple[str, Sequence[tuple[str, str]]]:
    """The statement for all rows of its parameters at once, and their names and kinds."""
    text, names = dialects.compiled(statement, dialect)
    kinds = {int(number): kind for number, kind in _TYPED.findall(text)}
    arrays = ", ".join(_parameter(n, kinds[n]) for n in sorted(kinds))
    listed = ", ".join(f"p{n}" for n in sorted(kinds))
    head, condition = _TYPED.sub(r"given.p\1", text).split(" WHERE ", 1)
    joined = "FROM" if isinstance(statement, Update) else "USING"
    text = f"{head} {joined} unnest({arrays}) AS given ({listed}) WHERE {condition}"
    return text, [(name, kinds[n]) for n, name in enumerate(names, 1)]
