"""The embedded database: connections, transactions, checkpoints.

Each aiosqlite connection owns a thread, and a whole transaction runs in one
call to it: SQLAlchemy executes there on the sqlite3 connection of that thread.
One connection writes; the others read the last committed snapshot (WAL).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import aiosqlite
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from service.core.errors import PalimpsestError, Reason
from service.storage.backend import NO_TENANT
from service.storage.dialects import lacks_room
from service.storage.sqlite import filter_functions, scrubbing
from service.storage.sqlite.disk_reserve import DiskReserve, room_at
from service.storage.sqlite.reader_pool import ReaderPool, Turn
from service.storage.sqlite.room import DiskRoom, storage_full

T = TypeVar("T")


class Mark(Protocol):
    """Keeps note of what was acknowledged, see `high_water`."""

    def advance(self, revisions: Mapping[int, int]) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


Gate: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
"""No read runs while its block runs."""

PAUSED = 4
"""Connections for reads that pause: more than `SPARE`, so that each tenant may have two."""

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
    name = _name(original)
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


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "") or ""


def _busy(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.Error) and _name(error).startswith("SQLITE_BUSY")


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

        def writing(conn: Connection) -> T:
            self._begin(conn)
            result = complete(conn, work)
            if committed is not None:
                committed(result)
            return result

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


class SqliteDatabase:
    """One writing and several reading connections on one file."""

    def __init__(
        self,
        path: Path,
        writer: ConnectionThread,
        readers: list[ConnectionThread],
        slots: int,
        reserve: DiskReserve | None = None,
        mark: Mark | None = None,
        gates: Sequence[Gate] = (),
    ) -> None:
        self.path = path
        self._mark = mark
        self._writer = writer
        self._readers = readers
        # Single reads have a connection of their own: no long list holds them up.
        lists = readers[1:] if slots > 1 else readers
        self._lists = ReaderPool(lists, max(1, slots - 1))
        self._singles = ReaderPool(readers[:1], 1) if slots > 1 else self._lists
        self._gates = gates
        self._emptying = asyncio.Lock()
        self.room = DiskRoom(reserve, writer.write, self._empty_log)

    @classmethod
    async def open(
        cls,
        path: Path,
        readers: int,
        *,
        read_only: bool = False,
        reserve: int = 0,
        mark: Mark | None = None,
        gates: Sequence[Gate] = (),
    ) -> SqliteDatabase:
        """Open a database whose schema is current; it closes `mark` at the end.

        Args:
            path: Its file.
            readers: See `StoreOptions`; further connections are opened for paused reads.
            read_only: Nothing is written.
            reserve: Bytes that are kept for deletions.
            mark: What was acknowledged.
            gates: Of processes that read for this one: a checkpoint closes them, too.
        """
        writer = await ConnectionThread.open(path, read_only=read_only)
        opening = (
            ConnectionThread.open(path, read_only=True, cache=number < readers)
            for number in range(readers + PAUSED)
        )
        kept = DiskReserve(path, reserve) if reserve else None
        return cls(path, writer, await asyncio.gather(*opening), readers, kept, mark, gates)

    def translated(self, error: BaseException) -> BaseException:
        return translated(error)

    async def write(
        self,
        work: Callable[[Connection], T],
        revisions: Callable[[T], Mapping[int, int]] | None = None,
        *,
        frees: bool = False,
    ) -> T:
        mark = self._mark
        if mark is None or revisions is None:
            return await self.room.write(work, frees=frees)
        return await self.room.write(
            work, lambda result: mark.advance(revisions(result)), frees=frees
        )

    async def read(
        self, work: Callable[[Connection], T], *, snapshot: bool = True, tenant: int = NO_TENANT
    ) -> T:
        if snapshot:
            return await self._lists.use(lambda reader, turn: reader.read(work, turn), tenant)
        return await self._singles.use(lambda reader, turn: reader.run_limited(work, turn), tenant)

    def pause(self) -> None:
        time.sleep(PAUSE_SECONDS)

    @property
    def idle(self) -> bool:
        """Whether no read is being served."""
        return self._lists.all_idle and self._singles.all_idle

    async def checkpoint(self) -> bool:
        """Move the WAL into the database and empty it; False if a reader was in the way.

        The database may have to grow for that: then the reserve is given up.
        """
        try:
            return await self._empty_log()
        except PalimpsestError as error:
            if not lacks_room(error):
                raise
        with self.room.given_up():
            return await self._empty_log()

    async def _empty_log(self) -> bool:
        """Checkpoint in two steps.

        Under load a TRUNCATE checkpoint is refused or stalls for seconds, so the
        bulk goes passively, and only the rest behind a short gate on the readers.
        """
        async with self._emptying:
            await self._writer.run(
                lambda conn: conn.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()
            )
            async with AsyncExitStack() as gates:
                for gate in self._gates:
                    await gates.enter_async_context(gate())
                await gates.enter_async_context(self.readers_paused())
                rows = await self._writer.run(
                    lambda conn: conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
                )
            if self._mark is not None:
                await asyncio.to_thread(self._mark.sync)
            return bool(rows[0][0] == 0)

    @contextlib.asynccontextmanager
    async def readers_paused(self) -> AsyncIterator[None]:
        """No read runs while the block runs; new ones wait."""
        async with AsyncExitStack() as gates:
            # Lists first: they take long, and single reads continue meanwhile.
            await gates.enter_async_context(self._lists.readers_paused())
            if self._singles is not self._lists:
                await gates.enter_async_context(self._singles.readers_paused())
            yield

    def hurry(self) -> None:
        self._writer.hurry()

    async def scrub(self) -> bool:
        """Remove what deletion left in page slack; False: not yet from the WAL.

        Writers wait meanwhile, readers do not. Stops when it is cancelled. Raises
        STORAGE_FULL when the disk has no room for it, not even with the reserve.
        """

        def work(conn: Connection) -> None:
            scrubbing.rewrite(conn, room_at(self.path))
            scrubbing.unmark(conn)

        try:
            await self._writer.run_limited(work, Turn(NO_TENANT, float("inf")))
        except PalimpsestError as error:
            if not lacks_room(error):
                raise
        else:
            return await self.checkpoint()
        with self.room.given_up():
            await self.room.empty_log()
            try:
                await self._writer.run_limited(work, Turn(NO_TENANT, float("inf")))
            finally:
                emptied = await self._empty_log()
        self.room.renew()
        return emptied

    async def close(self) -> None:
        await self._lists.settled()
        await self._singles.settled()
        for reader in self._readers:
            await reader.close()
        await self._writer.close()
        self.room.close()
        if self._mark is not None:
            await asyncio.to_thread(self._mark.close)


def create_file(path: Path) -> None:
    """Make an empty database that only its owner can read, unless it is there."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
