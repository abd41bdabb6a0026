"""What the command line does to a database on PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from service.core.database_location import PostgresServer
from service.core.digests import Digester
from service.storage import change_log, schema, tables
from service.storage.administration import Administration
from service.storage.postgres import inspection
from service.storage.postgres.connections import connected
from service.storage.postgres.preparation import bring_up, in_transaction
from service.storage.postgres.store import KEY_SECONDS

T = TypeVar("T")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine; in a thread of its own, as this one may run an event loop."""
    with ThreadPoolExecutor(1, "palimpsest-administration") as threads:
        return threads.submit(asyncio.run, work).result()


_SCRUBBED: Final = (
    "Done: what was deleted is gone from the tables. It is still in the write-ahead log until its "
    "segments are reused, in its archive, in standbys that lag behind, and in every backup, for "
    "as long as you keep them."
)


class PostgresAdministration(Administration):
    """A database on PostgreSQL.

    Args:
        server: Where.
        create: Whether it is made if there is none.
    """

    def __init__(self, server: PostgresServer, *, create: bool) -> None:
        self._server = server
        self._create = create

    def migrate(self) -> tuple[str | None, str]:
        return _run(in_transaction(self._server, self._bring_up))

    def check(self, progress: Callable[[str], None]) -> list[str]:
        return _run(inspection.check(self._server, progress))

    def backup(
        self,
        target: Path,
        progress: Callable[[int, int], None],
        verifying: Callable[[str], None],
    ) -> None:
        raise schema.StorageRefusedError(
            "a database on PostgreSQL is backed up by PostgreSQL: with pg_dump, or by archiving "
            "its write-ahead log for recovery to a point in time. `palimpsest check` judges what "
            "is restored from it"
        )

    def scrub(self, progress: Callable[[str], None]) -> str:
        """VACUUM FULL of every table; each is locked while it is rewritten."""
        _run(self._scrub(progress))
        return _SCRUBBED

    async def _scrub(self, progress: Callable[[str], None]) -> None:
        while await in_transaction(self._server, self._redact):
            pass
        async with connected(self._server) as connection:
            for name in sorted(tables.metadata.tables):
                progress(f"rewriting {name}, which is locked meanwhile")
                await connection.command(f"VACUUM (FULL, ANALYZE) {name}")
            progress("ending the current segment of the write-ahead log")
            await connection.run(inspection.switch_log)

    def _redact(self, conn: Connection) -> bool:
        self._bring_up(conn)
        return change_log.redact(conn, Digester(schema.digest_secret(conn)))

    def transact(self, work: Callable[[Connection], T]) -> T:
        def working(conn: Connection) -> T:
            self._bring_up(conn)
            return work(conn)

        return _run(in_transaction(self._server, working))

    def change_keys(self, work: Callable[[Connection], T], *, revokes: bool = False) -> T:
        done = self.transact(work)
        if revokes:
            # Until then a service process may trust a key that it looked up before.
            time.sleep(KEY_SECONDS * 1.1)
        return done

    def on_erased(self, conn: Connection) -> None:
        pass

    def _bring_up(self, conn: Connection) -> tuple[str | None, str]:
        return bring_up(conn, create=self._create)
