"""Statistics for the planner, which has none of a new table, and old ones of one that grew."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, MetaData

from service.storage import tables

_GROWN: Final = """
    SELECT relname FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND relname = ANY ($1::text[])
    AND n_mod_since_analyze >= 100
    AND n_mod_since_analyze >= 9 * (n_live_tup - n_mod_since_analyze)"""
"""Tables that have ten times the rows that they had when they were analysed."""

_NAMES: Final = sorted(tables.metadata.tables)


def seed_statistics(conn: Connection, metadata: MetaData) -> None:
    """Nothing yet: an empty table is planned as one, whatever its statistics say."""


def grown(conn: Connection) -> list[str]:
    """The tables whose statistics are of a tenth of their rows, or of none."""
    return list(conn.exec_driver_sql(_GROWN, (_NAMES,)).scalars())


def analyze(conn: Connection, name: str) -> None:
    """Renew a table's statistics, and with them every plan, unless another process does so."""
    conn.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {name}")
