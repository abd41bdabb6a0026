"""Statistics for the planner, which has none of a new table, and old ones of one that grew.

Made-up ones would be of no use to an empty table: the planner looks at its size first.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from service.storage import tables

_GROWN: Final = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
    AND relname = ANY ($1::text[])
    AND pg_relation_size(oid) >= current_setting('block_size')::int * greatest(1, 4 * relpages)"""
"""Tables that have four times the pages that they had when they were analysed.

Pages are counted as they are: what PostgreSQL says of rows comes seconds late.
"""

_NAMES: Final = sorted(tables.metadata.tables)


def grown(conn: Connection) -> list[str]:
    """The tables whose statistics are of a quarter of their pages, or of none."""
    return list(conn.exec_driver_sql(_GROWN, (_NAMES,)).scalars())


def analyze(conn: Connection, name: str) -> None:
    """Renew a table's statistics, and with them every plan, unless another process does so."""
    conn.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {name}")
