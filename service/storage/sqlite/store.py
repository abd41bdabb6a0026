"""Opening the storage on the embedded database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service.core.digests import Digester
from service.core.times import WallClock
from service.storage import schema
from service.storage.backend import NoKeyEpoch, NoMaintenance
from service.storage.dialects import lacks_room
from service.storage.engine import StoreOptions
from service.storage.sqlite import opening, scrubbing
from service.storage.sqlite.database import SqliteDatabase
from service.storage.sqlite.disk_reserve import given_up
from service.storage.sqlite.high_water import HighWaterMark
from service.storage.sqlite.key_epoch import KeyEpoch
from service.storage.sqlite.maintenance import SqliteMaintenance
from service.storage.store import SqlStore

__all__ = ["SqliteStore", "StoreOptions", "open_store", "open_to_read"]


class SqliteStore(SqlStore):
    """The storage on one file."""

    def __init__(
        self,
        path: Path,
        database: SqliteDatabase,
        clock: WallClock,
        digester: Digester,
        options: StoreOptions,
        *,
        unscrubbed: bool,
    ) -> None:
        self.path = path
        self.file = database
        self.maintenance = SqliteMaintenance(
            path, database, options, clock.now, unscrubbed=unscrubbed
        )
        super().__init__(
            database,
            clock,
            digester,
            options,
            maintenance=self.maintenance,
            epoch=KeyEpoch(path),
        )

    def start(self) -> None:
        super().start()
        self._keep(self.maintenance.checkpoint_forever())
        self._keep(self.maintenance.scrub_forever(self.redact))

    async def scrub_if_due(self) -> bool:
        """Rewrite the file without what deletion left in it, if it is time; True if done."""
        return await self.maintenance.scrub_if_due(self.redact)


class SqliteReader(SqlStore):
    """The storage on one file that another process writes."""

    def __init__(
        self,
        database: SqliteDatabase,
        clock: WallClock,
        digester: Digester,
        options: StoreOptions,
    ) -> None:
        self.file = database
        super().__init__(
            database,
            clock,
            digester,
            options,
            maintenance=NoMaintenance(),
            # Callers are authenticated by the process that writes.
            epoch=NoKeyEpoch(),
            read_only=True,
        )


async def open_store(
    path: Path, options: StoreOptions | None = None, clock: WallClock | None = None
) -> SqliteStore:
    """Open the database at `path`, created or migrated if need be, and start its upkeep.

    Raises:
        SchemaTooNewError: a newer release wrote it.
        StorageRefusedError: a database has been here and is gone, or lacks changes.
        sqlite3.DatabaseError, OSError: it is no database or cannot be opened.
    """
    options = options or StoreOptions()
    clock = clock or WallClock()
    secret, unscrubbed, mark = await asyncio.to_thread(_prepare, path)
    database = await SqliteDatabase.open(
        path, options.readers, reserve=options.disk_reserve, mark=mark
    )
    digester = Digester(secret)
    store = SqliteStore(path, database, clock, digester, options, unscrubbed=unscrubbed)
    store.start()
    return store


@asynccontextmanager
async def open_to_read(
    path: Path, digester: Digester, clock: WallClock, readers: int
) -> AsyncIterator[SqliteReader]:
    """The storage, for a process that writes nothing; the schema must be current."""
    options = StoreOptions(readers=readers)
    database = await SqliteDatabase.open(path, readers, read_only=True)
    store = SqliteReader(database, clock, digester, options)
    try:
        yield store
    finally:
        await store.close()


def _prepare(path: Path) -> tuple[bytes, bool, HighWaterMark]:
    """The secret of digests, whether deletions of an earlier run wait for a scrub, the mark."""
    try:
        return _prepared(path)
    except Exception as error:
        if not lacks_room(error):
            raise
    # The log and its index need some room, too.
    with given_up(path):
        return _prepared(path)


def _prepared(path: Path) -> tuple[bytes, bool, HighWaterMark]:
    with opening.opened(path) as opened:
        secret, unscrubbed = schema.digest_secret(opened.conn), scrubbing.marked(opened.conn)
        return secret, unscrubbed, opened.mark
