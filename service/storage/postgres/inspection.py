"""Inspecting a database on PostgreSQL as a whole: its digests and invariants."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service.core.database_location import PostgresServer
from service.core.digests import Digester
from service.storage import checks, digest_checks, schema
from service.storage.postgres.connections import connected
from service.storage.postgres.errors import sqlstate
from service.storage.steps import Steps

_DAMAGE = ("XX001", "XX002")
"""Corrupted data, and a corrupted index."""


class ServerSteps(Steps):
    """Steps of reading a database on PostgreSQL: a damaged page is a finding."""

    def damage(self, error: Exception) -> str | None:
        code = sqlstate(error)
        if code.startswith(_DAMAGE):
            return "a page is damaged"
        return f"a value cannot be read ({code})" if code.startswith("22") else None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        yield


async def check(server: PostgresServer, progress: Callable[[str], None]) -> list[str]:
    """The findings of one snapshot, none if all is well.

    Raises:
        SchemaTooNewError, SchemaTooOldError: Its rows cannot be judged.
        StorageRefusedError: There is nothing to judge.
    """
    async with connected(server) as connection:
        return await connection.read(lambda conn: _inspect(conn, progress), limited=False)


def _inspect(conn: Connection, progress: Callable[[str], None]) -> list[str]:
    version = schema.version(conn)
    if version is None:
        raise schema.StorageRefusedError("there is no database of Palimpsest at the URL")
    schema.ensure_current(version)
    steps = ServerSteps(progress)
    digester = steps.get("secret of digests", lambda: Digester(schema.digest_secret(conn)))
    if digester is not None:
        digest_checks.run(conn, steps, digester)
    checks.invariants(conn, steps)
    return steps.findings


def switch_log(conn: Connection) -> None:
    """Begin a new segment of the write-ahead log, if the user may."""
    with contextlib.suppress(DBAPIError):
        conn.exec_driver_sql("SELECT pg_switch_wal()")
