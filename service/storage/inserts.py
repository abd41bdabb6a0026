"""Writing many rows: compiled once, bound by position.

SQLAlchemy's own executemany prepares every row's parameters in Python, which
costs more than what SQLite does for the row. For PostgreSQL, see `bulk`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter

from sqlalchemy import Connection, Delete, Dialect, Table, Update

from service.storage import bulk, dialects
from service.storage.dialects import Names

STRIDES = (64, 16, 4)
"""Rows of one statement: between two statements other threads take the interpreter."""


def insert_rows(conn: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows of the same two or more columns; values are ready for the driver."""
    if not rows:
        return
    if dialects.is_remote(conn):
        bulk.insert_later(conn, table, rows)
        return
    columns = tuple(rows[0])
    pick = itemgetter(*_compiled(table, columns, conn.dialect)[1])
    bound = list(map(pick, rows))
    for size in STRIDES:
        while len(bound) >= size:
            stride, bound = bound[:size], bound[size:]
            statement = _for_many(table, columns, conn.dialect, size)
            conn.exec_driver_sql(statement, tuple(chain.from_iterable(stride)))
    if bound:
        conn.exec_driver_sql(_compiled(table, columns, conn.dialect)[0], bound)


def upsert_rows(
    conn: Connection,
    table: Table,
    rows: Sequence[Mapping[str, object]],
    *,
    put: Names = (),
    add: Names = (),
) -> None:
    """Insert rows, and change those of the same primary key; see `dialects.upsert`."""
    if not rows:
        return
    if dialects.is_remote(conn):
        bulk.insert_later(conn, table, rows, put=put, add=add)
    else:
        conn.execute(dialects.upsert(conn, table, put=put, add=add), rows)


def run_once(conn: Connection, statement: Update | Delete, values: Mapping[str, object]) -> None:
    """Run a statement whose result is not needed."""
    if dialects.is_remote(conn):
        bulk.change_later(conn, statement, values)
    else:
        conn.execute(statement, values)


def run_for_each(
    conn: Connection, statement: Update | Delete, rows: Sequence[Mapping[str, object]]
) -> None:
    """Run a statement of two or more bound parameters once for each row of their values."""
    if rows and dialects.is_remote(conn):
        bulk.change_each_later(conn, statement, rows)
    elif rows:
        text, names = dialects.compiled(statement, conn.dialect)
        conn.exec_driver_sql(text, list(map(itemgetter(*names), rows)))


@lru_cache(maxsize=256)
def _compiled(
    table: Table, columns: tuple[str, ...], dialect: Dialect
) -> tuple[str, Sequence[str]]:
    """The statement for one row, and the columns in the order they are bound in."""
    compiled = table.insert().compile(dialect=dialect, column_keys=list(columns))
    return str(compiled), compiled.positiontup or columns


@lru_cache(maxsize=256)
def _for_many(table: Table, columns: tuple[str, ...], dialect: Dialect, size: int) -> str:
    head, values = _compiled(table, columns, dialect)[0].split(" VALUES ")
    return f"{head} VALUES {', '.join([values] * size)}"
