"""The embedded database: connections, transactions, checkpoints.

Each aiosqlite connection owns a thread, and a whole transaction runs in one
call to it: SQLAlchemy executes there on the sqlite3 connection of that thread.
One connection writes; the others read the last committed snapshot (WAL).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from service.core.errors import PalimpsestError
from service.storage.backend import NO_TENANT
from service.storage.dialects import lacks_room
from service.storage.prepared import Gate
from service.storage.reader_pool import ReaderPool, Turn, noted
from service.storage.sqlite import scrubbing
from service.storage.sqlite.connections import PAUSE_SECONDS, ConnectionThread, translated
from service.storage.sqlite.disk_reserve import DiskReserve, room_at
from service.storage.sqlite.high_water import HighWaterMark
from service.storage.sqlite.room import DiskRoom

T = TypeVar("T")


PAUSED = 4
"""Connections for reads that pause: more than `SPARE`, so that each tenant may have two."""


class SqliteDatabase:
    """One writing and several reading connections on one file."""

    def __init__(
        self,
        path: Path,
        writer: ConnectionThread,
        readers: list[ConnectionThread],
        slots: int,
        reserve: DiskReserve | None = None,
        mark: HighWaterMark | None = None,
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
        mark: HighWaterMark | None = None,
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
        pool = self._lists if snapshot else self._singles

        def read(reader: ConnectionThread, turn: Turn) -> Awaitable[T]:
            return reader.read(work, turn) if snapshot else reader.run_limited(work, turn)

        return await pool.use(noted(read), tenant)

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
