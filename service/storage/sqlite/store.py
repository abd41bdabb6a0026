"""Opening the storage on the embedded database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from service.core.database_location import DatabaseLocation
from service.core.digests import Digester
from service.core.times import WallClock
from service.ports.indexing import NO_EMBEDDER, Indexer
from service.ports.metrics import Gauge
from service.storage import schema
from service.storage.backend import NoKeyEpoch, NoMaintenance
from service.storage.dialects import lacks_room
from service.storage.engine import StoreOptions
from service.storage.index import spaces
from service.storage.prepared import Gate, PreparedDatabase
from service.storage.sqlite import opening, scrubbing
from service.storage.sqlite.connections import transact
from service.storage.sqlite.database import SqliteDatabase
from service.storage.sqlite.disk_reserve import given_up
from service.storage.sqlite.file_sizes import file_sizes
from service.storage.sqlite.high_water import HighWaterMark
from service.storage.sqlite.key_epoch import KeyEpoch
from service.storage.sqlite.maintenance import SqliteMaintenance
from service.storage.statistics import TaskStatistics
from service.storage.store import SqlStore

__all__ = [
    "PreparedFile",
    "SqliteStore",
    "StoreOptions",
    "open_prepared",
    "open_store",
    "open_to_read",
    "prepare_database",
]


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
        indexer: Indexer | None = None,
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
            indexer=indexer,
        )

    def start(self) -> None:
        super().start()
        self._keep(self.maintenance.checkpoint_forever())
        self._keep(self.maintenance.scrub_forever(self.redact))

    @property
    def task_statistics(self) -> Mapping[str, TaskStatistics]:
        return {
            "checkpoint": self.maintenance.checkpoint_statistics,
            "scrub": self.maintenance.scrub_statistics,
            **super().task_statistics,
        }

    async def sizes(self) -> Sequence[Gauge]:
        return await asyncio.to_thread(lambda: list(file_sizes(self.path)))

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

    def readers_paused(self) -> AbstractAsyncContextManager[None]:
        return self.file.readers_paused()


@dataclass(frozen=True, slots=True)
class PreparedFile(PreparedDatabase):
    """A file whose schema is current.

    Args:
        location: See `PreparedDatabase`.
        digester: See `PreparedDatabase`.
        space: See `PreparedDatabase`.
        unscrubbed: Whether deletions of an earlier run wait for a scrub.
        mark: What was acknowledged; the store closes it.
    """

    unscrubbed: bool
    mark: HighWaterMark

    async def open(
        self,
        options: StoreOptions,
        clock: WallClock,
        indexer: Indexer | None = None,
        gates: Sequence[Gate] = (),
    ) -> SqliteStore:
        return await open_prepared(self, options, clock, indexer=indexer, gates=gates)


async def prepare_database(path: Path, embedder: tuple[str, int] | None = None) -> PreparedFile:
    """Create or migrate the database at `path`, if need be.

    Args:
        path: Its file.
        embedder: The name and the dimension of the embedder whose vectors are stored.

    Raises:
        SchemaTooNewError: a newer release wrote it.
        StorageRefusedError: a database has been here and is gone, or lacks changes.
        sqlite3.DatabaseError, OSError: it is no database or cannot be opened.
    """
    return await asyncio.to_thread(_prepare, path, embedder)


async def open_prepared(
    prepared: PreparedFile,
    options: StoreOptions,
    clock: WallClock,
    *,
    indexer: Indexer | None = None,
    gates: Sequence[Gate] = (),
) -> SqliteStore:
    """Open the store on a database, and start its upkeep.

    Args:
        prepared: The database.
        options: How to run.
        clock: The wall clock.
        indexer: Makes memories findable as they are written; None: they are indexed later.
        gates: Of processes that read for this one: a checkpoint closes them, too.
    """
    path = prepared.location.path
    database = await SqliteDatabase.open(
        path,
        options.readers,
        reserve=options.disk_reserve,
        mark=prepared.mark,
        gates=gates,
    )
    store = SqliteStore(
        path,
        database,
        clock,
        prepared.digester,
        options,
        unscrubbed=prepared.unscrubbed,
        indexer=indexer,
    )
    store.start()
    return store


async def open_store(
    path: Path,
    options: StoreOptions | None = None,
    clock: WallClock | None = None,
    *,
    indexer: Indexer | None = None,
) -> SqliteStore:
    """`prepare_database` and `open_prepared`."""
    prepared = await prepare_database(path)
    return await open_prepared(
        prepared, options or StoreOptions(), clock or WallClock(), indexer=indexer
    )


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


def _prepare(path: Path, embedder: tuple[str, int] | None) -> PreparedFile:
    try:
        return _prepared(path, embedder)
    except Exception as error:
        if not lacks_room(error):
            raise
    # The log and its index need some room, too.
    with given_up(path):
        return _prepared(path, embedder)


def _prepared(path: Path, embedder: tuple[str, int] | None) -> PreparedFile:
    with opening.opened(path) as opened:
        conn = opened.conn
        return PreparedFile(
            DatabaseLocation(path),
            Digester(schema.digest_secret(conn)),
            NO_EMBEDDER if embedder is None else _space(conn, *embedder),
            scrubbing.marked(conn),
            opened.mark,
        )


def _space(conn: Connection, name: str, dimension: int) -> int:
    number = transact(conn, lambda conn: spaces.known(conn, name), "DEFERRED")
    if number is None:
        number = transact(conn, lambda conn: spaces.ensure(conn, name, dimension))
    return number
