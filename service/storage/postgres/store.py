"""Opening the storage on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from service.core.database_location import DatabaseLocation, PostgresServer
from service.core.digests import Digester
from service.core.times import WallClock
from service.ports.indexing import NO_EMBEDDER, Indexer
from service.ports.metrics import Gauge
from service.storage import schema
from service.storage.backend import NoKeyEpoch, NoMaintenance
from service.storage.engine import StoreOptions
from service.storage.index import spaces
from service.storage.postgres.clock import DatabaseClock
from service.storage.postgres.database import PostgresDatabase
from service.storage.postgres.maintenance import PostgresMaintenance
from service.storage.postgres.preparation import bring_up, in_transaction
from service.storage.prepared import Gate, PreparedDatabase
from service.storage.store import SqlStore

KEY_SECONDS: Final = 0.25
"""How long a process trusts a key, from before it looked it up. A revocation is done when so
long has passed since its commit."""


class PostgresStore(SqlStore):
    """The storage on PostgreSQL."""

    def __init__(
        self,
        database: PostgresDatabase,
        clock: WallClock,
        digester: Digester,
        options: StoreOptions,
        indexer: Indexer | None = None,
    ) -> None:
        self._database = database
        self.maintenance = PostgresMaintenance(database, _own(clock), options.statistics_interval)
        super().__init__(
            database,
            clock,
            digester,
            options,
            maintenance=self.maintenance,
            epoch=NoKeyEpoch(),
            indexer=indexer,
            key_trust=KEY_SECONDS,
        )

    def start(self) -> None:
        super().start()
        self._keep(self.maintenance.run_forever())

    async def sizes(self) -> Sequence[Gauge]:
        size = await self._database.read(_size, snapshot=False)
        return (Gauge("file_bytes", "Size of the database", "file", {"database": float(size)}),)


def _own(clock: WallClock) -> DatabaseClock | None:
    return clock if isinstance(clock, DatabaseClock) else None


def _size(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


@dataclass(frozen=True, slots=True)
class PreparedServer(PreparedDatabase):
    """A database on PostgreSQL whose schema is current.

    Args:
        location: See `PreparedDatabase`.
        digester: See `PreparedDatabase`.
        space: See `PreparedDatabase`.
        server: Where it is.
    """

    server: PostgresServer

    def clock(self) -> WallClock:
        return DatabaseClock()

    async def open(
        self,
        options: StoreOptions,
        clock: WallClock,
        indexer: Indexer | None = None,
        gates: Sequence[Gate] = (),
    ) -> PostgresStore:
        database = PostgresDatabase(self.server, _own(clock))
        store = PostgresStore(database, clock, self.digester, options, indexer)
        await store.maintenance.run_if_due()
        store.start()
        return store


async def prepare_database(
    location: DatabaseLocation, server: PostgresServer, embedder: tuple[str, int] | None
) -> PreparedServer:
    """See `opening.prepare_database`."""

    def prepare(conn: Connection) -> tuple[Digester, int]:
        bring_up(conn)
        space = NO_EMBEDDER if embedder is None else spaces.ensure(conn, *embedder)
        return Digester(schema.digest_secret(conn)), space

    digester, space = await in_transaction(server, prepare)
    return PreparedServer(location, digester, space, server)


@asynccontextmanager
async def open_to_read(
    server: PostgresServer, digester: Digester, clock: WallClock, readers: int
) -> AsyncIterator[SqlStore]:
    """See `opening.open_to_read`."""
    store = SqlStore(
        PostgresDatabase(server, read_only=True),
        clock,
        digester,
        StoreOptions(readers=readers),
        maintenance=NoMaintenance(),
        # Callers are authenticated by the process that writes.
        epoch=NoKeyEpoch(),
        read_only=True,
    )
    try:
        yield store
    finally:
        await store.close()
