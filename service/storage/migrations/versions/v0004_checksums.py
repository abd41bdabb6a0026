"""Checksums of rows, so that a check finds damage that no index shows.

Revision ID: 0004
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from service.core.digests import Digester
from service.storage import checksums

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for table in checksums.COVERED:
        op.add_column(
            table,
            sa.Column("checksum", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        )
    conn = op.get_bind()
    secret = conn.execute(sa.text("SELECT value FROM secrets WHERE name = 'digest'")).scalar()
    if secret is None:
        return  # Nothing was ever written.
    digester = Digester(bytes(secret))
    driver: Any = conn.connection.driver_connection
    for table, covered in checksums.COVERED.items():
        present = {row[1] for row in driver.execute(f"PRAGMA table_info({table})")}
        columns = [column if column in present else "NULL" for column in covered]
        driver.create_function("palimpsest_checksum", len(columns), _function(digester, table))
        driver.execute(
            f"UPDATE {table} SET checksum = palimpsest_checksum({', '.join(columns)})"  # noqa: S608
        )
        driver.create_function("palimpsest_checksum", len(columns), None)


def _function(digester: Digester, table: str) -> Callable[..., bytes]:
    return lambda *values: checksums.of_values(digester, table, values)
