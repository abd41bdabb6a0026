"""Statistics for the planner, which has none of a new table, and old ones of one that grew.

Made-up ones would be of no use to an empty table: the planner looks at its size first.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from service.storage import tables

_GROWN: Final = """
    SELECT s.relname FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
    WHERE s.schemaname = current_schema() AND s.relname = ANY ($1::text[])
    AND s.n_live_tup >= 100 AND s.n_live_tup >= 4 * greatest(c.reltuples, 0)"""
"""Tables that have four times the rows that they had when they were analysed."""

_NAMES: Final = sorted(tables.metadata.tables)


def grown(conn: Connection) -> list[str]:
    """The tables whose statistics are of a quarter of their rows, or of none."""
    return list(conn.exec_driver_sql(_GROWN, (_NAMES,)).scalars())


def analyze(conn: Connection, name: str) -> None:
    """Renew a table's statistics, and with them every plan, unless another process does so."""
    conn.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {name}")
