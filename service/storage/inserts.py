"""Inserting many rows: compiled once, bound by position.

SQLAlchemy's own executemany prepares every row's parameters in Python, which
costs more than SQLite's insert of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Table


def insert_rows(conn: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows of the same two or more columns; values are ready for the driver."""
    if rows:
        statement, pick = _compiled(table, tuple(rows[0]), conn.dialect)
        conn.exec_driver_sql(statement, [pick(row) for row in rows])


@lru_cache(maxsize=256)
def _compiled(
    table: Table, columns: tuple[str, ...], dialect: Dialect
) -> tuple[str, Callable[[Any], tuple[Any, ...]]]:
    compiled = table.insert().compile(dialect=dialect, column_keys=list(columns))
    return str(compiled), itemgetter(*(compiled.positiontup or columns))
