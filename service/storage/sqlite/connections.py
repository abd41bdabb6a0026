"""Connections to the embedded database: how they are opened, and the threads that have one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from service.core.errors import PalimpsestError, Reason
from service.runtime import call_stages
from service.runtime.call_stages import CallStages
from service.storage.dialects import error_name
from service.storage.reader_pool import Turn
from service.storage.sqlite import filter_functions
from service.storage.sqlite.room import storage_full

T = TypeVar("T")

BUSY_SECONDS = 15.0
"""How long a writer waits for another process before it gives up."""

BUSY_STEP_SECONDS = 0.1
"""How long the server's writer waits at a stretch, before it checks whether to continue.

A checkpoint waits no longer than this for the reads of other processes, as the
server's own reads wait for the checkpoint.
"""

PAUSE_SECONDS = 0.0004
"""Pause of a transaction before each of several long statements.

A statement is a millisecond or two of unbroken work, and without a pause the scheduler
lets a transaction run on while a reader's thread waits for its core: the reads' 99th
percentile was twice as high.
"""

_PROGRESS_STEPS = 10_000
"""Instructions of SQLite between two checks whether a read must stop or pause."""


def connect(path: Path | str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection as every part of the service must have it.

    An OK is only sent after a commit that a power cut survives
    (`synchronous=FULL`), and what is deleted is overwritten (`secure_delete`).
    """
    raw = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    try:
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("PRAGMA secure_delete=ON")
        raw.execute("PRAGMA foreign_keys=ON")
        raw.execute("PRAGMA temp_store=MEMORY")
        raw.execute("PRAGMA cache_size=-32768")
        raw.execute("PRAGMA journal_size_limit=67108864")
        filter_functions.install(raw)
        if read_only:
            raw.execute("PRAGMA query_only=ON")
    except BaseException:
        raw.close()
        raise
    return raw


def engine_on(raw: sqlite3.Connection) -> Engine:
    """SQLAlchemy on one connection, leaving transactions to the caller."""
    return create_engine(
        "sqlite://",
        creator=lambda: raw,
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )


@contextlib.contextmanager
def open_sync(path: Path | str) -> Iterator[Connection]:
    """A connection for the command line, in this thread."""
    raw = connect(path)
    engine = engine_on(raw)
    try:
        with engine.connect() as conn:
            yield conn
    finally:
        engine.dispose()
        raw.close()


def transact(conn: Connection, work: Callable[[Connection], T], mode: str = "IMMEDIATE") -> T:
    """Run `work` in a transaction: committed when it returns, undone if it raises."""
    conn.exec_driver_sql(f"BEGIN {mode}")
    return complete(conn, work)


def complete(conn: Connection, work: Callable[[Connection], T]) -> T:
    """The same in the transaction that has just begun."""
    try:
        result = work(conn)
        conn.exec_driver_sql("COMMIT")
    except BaseException:
        with contextlib.suppress(DBAPIError):
            conn.exec_driver_sql("ROLLBACK")
        raise
    return result


def _acknowledged(
    conn: Connection, work: Callable[[Connection], T], committed: Callable[[T], None] | None
) -> T:
    """`complete`, and then `committed` with the result."""
    result = complete(conn, work)
    if committed is not None:
        committed(result)
    return result


def _noted(
    conn: Connection,
    work: Callable[[Connection], T],
    committed: Callable[[T], None] | None,
    stages: CallStages,
    requested: float,
) -> T:
    """The same, with its stages; `requested` is when the connection was asked for."""
    began = worked = perf_counter()
    stages.note("write_wait", requested, began)

    def working(conn: Connection) -> T:
        nonlocal worked
        try:
            return work(conn)
        finally:
            worked = perf_counter()
            stages.note("transaction", began, worked)

    result = _acknowledged(conn, working, committed)
    stages.note("commit", worked, perf_counter())
    return result


def _on_snapshot(conn: Connection, work: Callable[[Connection], T]) -> T:
    """Run `work`, which only reads, on one state of the database."""
    # What begins and ends it takes SQLAlchemy as long as a statement that reads.
    raw: Any = conn.connection.driver_connection
    raw.execute("BEGIN DEFERRED")
    try:
        return work(conn)
    finally:
        if raw.in_transaction:
            raw.execute("ROLLBACK")


def translated(error: BaseException) -> BaseException:
    """The error for callers instead of a database error; other errors stay as they are."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return error
    name = error_name(error)
    # A log index that cannot grow is what is left of a full disk.
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")) or _out_of_space(original):
        return storage_full()
    if name.startswith("SQLITE_INTERRUPT"):
        return PalimpsestError(
            Reason.OVERLOADED, "The read took too long; narrow it", retry_after=1
        )
    if name.startswith(
        ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CANTOPEN")
    ):
        return PalimpsestError(
            Reason.STORAGE_UNAVAILABLE,
            "The database cannot be used at the moment; retry",
            retry_after=1,
        )
    return error


def _busy(error: BaseException | None) -> bool:
    return error_name(error).startswith("SQLITE_BUSY")


def _out_of_space(error: sqlite3.Error) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOSPC


async def _execute(
    connection: aiosqlite.Connection, work: Callable[..., T], *arguments: object
) -> T:
    """Run `work` in the connection's thread; aiosqlite has no public name for it."""
    execute: Callable[..., Awaitable[T]] = connection._execute
    return await execute(work, *arguments)


class ConnectionThread:
    """One connection and the thread that owns it."""

    def __init__(self, connection: aiosqlite.Connection, conn: Connection) -> None:
        self._connection = connection
        self._conn = conn
        self._hurried = False
        # Of the work that is running; seen and set in the thread alone.
        self._turn: Turn | None = None

    @classmethod
    async def open(cls, path: Path, *, read_only: bool, cache: bool = True) -> ConnectionThread:
        """Open a connection; one without a `cache` of its own keeps few pages."""
        raw: list[sqlite3.Connection] = []

        def connector() -> sqlite3.Connection:
            raw.append(connect(path, read_only=read_only))
            return raw[0]

        connection = await aiosqlite.Connection(connector, iter_chunk_size=64)
        thread = cls(connection, await _execute(connection, lambda: engine_on(raw[0]).connect()))
        raw[0].set_progress_handler(thread._must_stop, _PROGRESS_STEPS)
        filter_functions.install(raw[0], thread._must_stop)
        if not cache:
            raw[0].execute("PRAGMA cache_size=-2048")
        if not read_only:
            raw[0].execute(f"PRAGMA busy_timeout={round(BUSY_STEP_SECONDS * 1000)}")
        return thread

    def _must_stop(self) -> bool:
        return self._turn is not None and self._turn.must_stop()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the connection's thread; database errors are translated."""
        try:
            return await _execute(self._connection, work, self._conn)
        except Exception as error:
            mapped = translated(error)
            if mapped is error:
                raise
            raise mapped from error

    async def read(self, work: Callable[[Connection], T], turn: Turn) -> T:
        """Run `work` on one snapshot, as long as its turn lasts."""
        return await self.run_limited(lambda conn: _on_snapshot(conn, work), turn)

    async def run_limited(self, work: Callable[[Connection], T], turn: Turn) -> T:
        """Run `work`; it is interrupted when its turn ends, or when the caller is cancelled."""

        def running(conn: Connection) -> T:
            self._turn = turn
            try:
                return work(conn)
            finally:
                self._turn = None

        try:
            return await self.run(running)
        except asyncio.CancelledError:
            turn.abandon()
            raise

    async def settled(self) -> None:
        """Returns when all that the thread was asked for is over."""
        await self.run(lambda _: None)

    async def write(
        self, work: Callable[[Connection], T], committed: Callable[[T], None] | None = None
    ) -> T:
        """Run `work` in a transaction that is on the disk when this returns.

        `committed` gets its result then, in the connection's thread.
        """

        stages = call_stages.current()
        requested = 0.0 if stages is None else perf_counter()

        def writing(conn: Connection) -> T:
            self._begin(conn)
            if stages is None:
                return _acknowledged(conn, work, committed)
            return _noted(conn, work, committed, stages, requested)

        return await self.run(writing)

    def _begin(self, conn: Connection) -> None:
        """Begin to write, as soon as no other process does."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                conn.exec_driver_sql("BEGIN IMMEDIATE")
            except DBAPIError as error:
                if not _busy(error.orig) or self._hurried or time.monotonic() > deadline:
                    raise
            else:
                return

    def hurry(self) -> None:
        """From now on, do not wait for other processes."""
        self._hurried = True

    async def close(self) -> None:
        def dispose(conn: Connection) -> None:
            engine = conn.engine
            conn.close()
            engine.dispose()

        with contextlib.suppress(ValueError):
            await _execute(self._connection, dispose, self._conn)
        await self._connection.close()
