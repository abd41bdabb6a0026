"""PostgreSQL: a database for each data folder, on one server for the whole run."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service.core.database_location import DatabaseLocation, PostgresServer
from service.core.times import WallClock
from service.ports.indexing import Indexer
from service.storage import tables
from service.storage.engine import StoreOptions
from service.storage.opening import open_store, prepare_database
from service.storage.store import SqlStore
from tests.backends import tcp
from tests.backends.base import COMMENT, QUIET, Backend, WriteHold
from tests.backends.loop_thread import LoopThread

_thread = LoopThread()
_numbers = itertools.count(1)

# Each write locks a row of it first.
_HOLD: Final = "LOCK TABLE tenants IN EXCLUSIVE MODE"


class DatabaseServer:
    """A server on which tests have databases.

    Args:
        url: Of a database on it that is there already; its user may create databases.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._engine = engine_on(self._url, isolation_level="AUTOCOMMIT")
        self._template = ""

    def url_of(self, name: str) -> URL:
        return self._url.set(database=name)

    def create(self, *, empty: bool = False) -> str:
        """A new database, with the service's tables unless it is to be empty; its name."""
        name = f"palimpsest_{os.getpid()}_{next(_numbers)}"
        template = "template0" if empty else self._with_tables()
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def _with_tables(self) -> str:
        if not self._template:
            made = self.create(empty=True)
            _thread.run(prepare_database(location_of(Path(), self.url_of(made))))
            # Each database gets a secret of its own when it is opened.
            _thread.run(run_alone(self.url_of(made), "DELETE FROM secrets"))
            self._template = made
        return self._template

    def drop(self, name: str) -> int:
        """Remove a database; how many deadlocks there were in it."""
        # A connection tells what it counted when it ends.
        self._administer(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = :name",
            name=name,
        )
        [counted] = self._administer(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = :name", name=name
        )
        self._administer(f"DROP DATABASE {name} WITH (FORCE)")
        return int(counted.deadlocks)

    def close(self) -> None:
        if self._template:
            self.drop(self._template)
        _thread.run(self._engine.dispose())

    def _administer(self, statement: str, **values: object) -> list[Any]:
        return _thread.run(run_on(self._engine, statement, values))


class PostgresHold:
    """A lock that every writer of a database waits for."""

    def __init__(self, backend: PostgresBackend, conn: AsyncConnection) -> None:
        self._backend = backend
        self._conn = conn

    def revoke_key(self, secret: str) -> None:
        assert self._backend.revoke_key(secret)

    def release(self) -> None:
        _thread.run(self._conn.rollback())


class PostgresBackend(Backend):
    """A database of its own on a server, and a folder for the first key.

    Args:
        folder: The data folder; it need not exist.
        server: Where the database is made.
        empty: Whether it is to have no tables yet.
        name: Of a database that is there and stays; without it, one is made.
    """

    def __init__(
        self, folder: Path, server: DatabaseServer, *, empty: bool = False, name: str | None = None
    ) -> None:
        super().__init__(folder)
        self._server = server
        self._stays = name is not None
        self.name = name or server.create(empty=empty)
        self.url = server.url_of(self.name)
        # One connection is kept: tests look again and again.
        self._engine = engine_on(self.url, pool_size=1, max_overflow=4)
        self.deadlocks_allowed = False
        """Whether a test makes some on purpose."""

    def replica(self, folder: Path, port: int | None = None) -> PostgresBackend:
        """The same database, as a machine has it whose data folder is another one.

        Args:
            folder: The data folder.
            port: Of a proxy on this machine that it is reached through.
        """
        other = PostgresBackend(folder, self._server, name=self.name)
        if port is not None:
            other.url = self.url.set(host="127.0.0.1", port=port)
        return other

    @property
    def address(self) -> str:
        """The URL as a setting."""
        return self.url.render_as_string(hide_password=False)

    @property
    def location(self) -> DatabaseLocation:
        return location_of(self.folder, self.url)

    @property
    def settings(self) -> dict[str, Any]:
        return {"data_dir": self.folder, "database_url": self.address}

    @property
    def options(self) -> Sequence[str]:
        return ("--data-dir", str(self.folder), "--database-url", self.address)

    async def open(
        self,
        clock: WallClock | None = None,
        *,
        options: StoreOptions = QUIET,
        indexer: Indexer | None = None,
    ) -> SqlStore:
        return await open_store(self.location, options, clock, indexer=indexer)

    def rows(self, sql: str, **values: object) -> list[Any]:
        return _thread.run(run_on(self._engine, sql, values))

    def execute(self, sql: str, **values: object) -> None:
        _thread.run(run_on(self._engine, sql, values))

    @contextmanager
    def hold_writes(self) -> Iterator[WriteHold]:
        conn = _thread.run(self._connected())
        try:
            _thread.run(conn.exec_driver_sql(COMMENT + _HOLD))
            yield PostgresHold(self, conn)
        finally:
            _thread.run(conn.close())

    async def _connected(self) -> AsyncConnection:
        return await self._engine.connect()

    def matches(self, pattern: re.Pattern[bytes]) -> set[bytes]:
        """Its files keep what was deleted until they are written again."""
        found: set[bytes] = set()
        for table in tables.metadata.tables:
            for row in self.rows(f"SELECT * FROM {table}"):
                for value in row:
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    found.update(pattern.findall(raw))
        return found

    def is_open_in(self, pid: int) -> bool:
        return tcp.is_connected(pid, self.url.port or 5432)

    def close(self) -> None:
        _thread.run(self._engine.dispose())
        if self._stays:
            return
        deadlocks = self._server.drop(self.name)
        assert self.deadlocks_allowed or not deadlocks, f"{deadlocks} deadlocks"


def location_of(folder: Path, url: URL) -> DatabaseLocation:
    server = PostgresServer(url.render_as_string(hide_password=False))
    return DatabaseLocation(folder / "palimpsest.db", server)


def engine_on(url: URL, **options: Any) -> AsyncEngine:
    """For statements of tests, whose server may have been stopped in between."""
    address = url.set(drivername="postgresql+asyncpg")
    return create_async_engine(address, pool_pre_ping=True, **options)


async def run_alone(url: URL, sql: str) -> None:
    """A statement on a connection of its own, of which nothing is left."""
    engine = engine_on(url)
    await run_on(engine, sql, {})
    await engine.dispose()


async def run_on(engine: AsyncEngine, sql: str, values: dict[str, object]) -> list[Any]:
    """The rows of a statement, in a transaction of its own."""
    async with engine.begin() as conn:
        result = await conn.execute(text(COMMENT + sql), values)
        return list(result) if result.returns_rows else []
