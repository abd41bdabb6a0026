"""Bringing the database on PostgreSQL into use: made, migrated, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection

from service.core.database_location import PostgresServer
from service.storage import dialects, schema
from service.storage.postgres.connections import connected, transact
from service.storage.postgres.tables import create_tables

T = TypeVar("T")

_START_LOCK: Final = 0x50414C49
"""Of a service process's start: many may start at once on an empty database."""


async def in_transaction(server: PostgresServer, work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction on a connection of its own."""
    async with connected(server) as connection:
        return await transact(connection, work)


def bring_up(conn: Connection, *, create: bool = True) -> tuple[str | None, str]:
    """Make or migrate the schema inside the open transaction: (before, after).

    Raises:
        StorageRefusedError: There is none and `create` is not set, or it is another program's.
        SchemaTooNewError: A newer release wrote it.
    """
    conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_START_LOCK})")
    version = schema.version(conn)
    ours = version is not None and dialects.has_table(conn, "secrets")
    if not ours and dialects.has_tables(conn):
        raise schema.ForeignDatabaseError(
            "the database has tables of another program; name another one, or a schema of its own "
            "(with ?options=-csearch_path%3DNAME at the end of the URL)"
        )
    if version is None and not create:
        raise schema.StorageRefusedError(
            "there is no database of Palimpsest at the URL; make one with `palimpsest serve` or "
            "`migrate`"
        )
    return schema.bring_up(conn, create_tables, None)
