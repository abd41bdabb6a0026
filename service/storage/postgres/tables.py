"""The tables as PostgreSQL has them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, Connection, DefaultClause, LargeBinary, MetaData, String, text
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.tables import JsonText

_OFTEN_UPDATED: Final = {"tenants": 50, "containers": 70, "jobs": 70}
"""Tables whose rows nearly every write updates, and how full their pages are made: what is left
takes the next versions of rows, so that no index has to change."""

_DEAD_ROWS: Final = 500
"""Of those tables, after which they are cleaned, however large they are."""


def adapted(metadata: MetaData) -> MetaData:
    """The tables for PostgreSQL: texts are compared by their bytes, as SQLite compares them."""
    copied = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        copy = table.to_metadata(copied)
        for column in copy.columns:
            _adapt(column)
        for index in copy.indexes:
            where = index.dialect_options["sqlite"]["where"]
            index.dialect_kwargs["postgresql_where"] = where
    return copied


def create_tables(conn: Connection, metadata: MetaData) -> None:
    """All tables, empty."""
    adapted(metadata).create_all(conn, checkfirst=False)
    for name, fill in _OFTEN_UPDATED.items():
        conn.exec_driver_sql(
            f"ALTER TABLE {name} SET (fillfactor = {fill}, autovacuum_vacuum_scale_factor = 0, "
            f"autovacuum_vacuum_threshold = {_DEAD_ROWS})"
        )


def _adapt(column: Column[Any]) -> None:
    if isinstance(column.type, JsonText):
        column.type = JSONB()
    elif isinstance(column.type, String):
        kind = type(column.type)
        column.type = kind(column.type.length, collation="C")
    elif isinstance(column.type, LargeBinary) and column.server_default is not None:
        column.server_default = DefaultClause(text("''::bytea"))
