"""The database on PostgreSQL: reads by turns, and transactions that write."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Final, TypeVar

from sqlalchemy import Connection

from service.core.database_location import PostgresServer
from service.runtime.call_stages import stage
from service.storage import dialects
from service.storage.backend import NO_TENANT
from service.storage.postgres.clock import DatabaseClock
from service.storage.postgres.connections import (
    READ_SECONDS,
    PostgresConnection,
    PostgresReader,
    connected,
)
from service.storage.postgres.dialect import PLANNING, engine_for
from service.storage.postgres.errors import lost, sqlstate, translated, unavailable
from service.storage.reader_pool import ReaderPool, noted

T = TypeVar("T")

log = logging.getLogger(__name__)

ATTEMPTS: Final = 5
"""How often a transaction is run that PostgreSQL undoes for the sake of another one."""

IN_DOUBT_SECONDS: Final = 5.0
"""How long PostgreSQL is asked what became of a commit whose answer was lost."""

_ASK_SECONDS: Final = 0.1

_COMMAND_SECONDS: Final = 3.0 * READ_SECONDS
"""After so long without an answer the connection is given up."""

# A read whose caller is gone ends, too.
_SESSION: Final = PLANNING | {"client_connection_check_interval": "1s"}


class _RunAgainError(Exception):
    """The transaction came to nothing, for no fault of its own."""


class PostgresDatabase:
    """Connections of one process: some write, some serve single reads, the others lists.

    Args:
        server: Where it is.
        clock: Is set by PostgreSQL's; None: time is judged elsewhere.
        read_only: Nothing is written.
    """

    def __init__(
        self, server: PostgresServer, clock: DatabaseClock | None = None, *, read_only: bool = False
    ) -> None:
        self._server = server
        self._clock = clock
        self._writing = engine_for(server, command_timeout=_COMMAND_SECONDS, settings=_SESSION)
        timeout = {"statement_timeout": f"{READ_SECONDS}s"}
        self._reading = engine_for(
            server, command_timeout=_COMMAND_SECONDS, settings=_SESSION | timeout
        )
        third = max(1, server.connections // 3)
        writers = 0 if read_only else max(1, server.connections // 6)
        lists = max(1, server.connections - third - writers)
        self._singles = ReaderPool(self._readers(third), third)
        self._lists = ReaderPool(self._readers(lists), lists)
        self._writers: asyncio.LifoQueue[PostgresConnection] = asyncio.LifoQueue()
        self._all_writers = [
            PostgresConnection(self._writing, self._made, together=not server.prepare)
            for _ in range(writers)
        ]
        for writer in self._all_writers:
            self._writers.put_nowait(writer)
        self._writes: set[asyncio.Task[object]] = set()

    def _readers(self, count: int) -> list[PostgresReader]:
        together = not self._server.prepare
        return [PostgresReader(self._reading, self._made, together=together) for _ in range(count)]

    def _made(self, conn: Connection) -> None:
        if self._clock is not None:
            self._clock.measure(conn)

    def translated(self, error: BaseException) -> BaseException:
        return translated(error)

    async def write(
        self,
        work: Callable[[Connection], T],
        revisions: Callable[[T], Mapping[int, int]] | None = None,
        *,
        frees: bool = False,
    ) -> T:
        # What has begun comes to its end, whether its caller waits or not.
        task = asyncio.create_task(self._write(work))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        for _ in range(ATTEMPTS):
            async with contextlib.AsyncExitStack() as used:
                with stage("write_wait"):
                    writer = await used.enter_async_context(self._writer())
                    await writer.begin()
                with contextlib.suppress(_RunAgainError):
                    return await self._transact(writer, work)
        raise unavailable()

    async def _transact(self, writer: PostgresConnection, work: Callable[[Connection], T]) -> T:
        """Run `work` in the transaction that has begun, and commit it."""
        try:
            with stage("transaction", parts=True):
                result, number = await writer.work(work)
        except BaseException as error:
            await writer.rollback()
            if dialects.to_run_again(error):
                raise _RunAgainError from error
            raise
        try:
            with stage("commit"):
                committed = await writer.commit()
        except Exception as error:
            if dialects.to_run_again(error):
                raise _RunAgainError from error
            if number is None or not lost(error):
                raise
            log.warning("a connection broke in a commit; asking what became of it")
            committed = await self._is_committed(number)
        if not committed:
            raise _RunAgainError
        return result

    async def _is_committed(self, number: str) -> bool:
        """What became of a transaction; raises STORAGE_UNAVAILABLE if that cannot be found out."""
        stop = asyncio.get_running_loop().time() + IN_DOUBT_SECONDS
        while asyncio.get_running_loop().time() < stop:
            try:
                async with connected(self._server, command_timeout=IN_DOUBT_SECONDS) as connection:
                    status = await connection.run(lambda conn: _status(conn, number))
            except Exception as error:
                if not lost(error):
                    raise
            else:
                if status != "in progress":
                    return status == "committed"
            await asyncio.sleep(_ASK_SECONDS)
        raise unavailable()

    async def read(
        self, work: Callable[[Connection], T], *, snapshot: bool = True, tenant: int = NO_TENANT
    ) -> T:
        with _translating():
            if snapshot:
                return await self._lists.use(noted(lambda reader, _: reader.read(work)), tenant)
            return await self._singles.use(noted(lambda reader, _: reader.run(work)), tenant)

    async def run_alone(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a connection that writes, each statement in a transaction of its own."""
        async with self._writer() as writer:
            return await writer.run(work)

    @contextlib.asynccontextmanager
    async def _writer(self) -> AsyncIterator[PostgresConnection]:
        writer = await self._writers.get()
        try:
            with _translating():
                yield writer
        finally:
            self._writers.put_nowait(writer)

    def pause(self) -> None:
        """Nothing: statements run elsewhere."""

    @property
    def idle(self) -> bool:
        """Whether no read is being served."""
        return self._lists.all_idle and self._singles.all_idle

    async def checkpoint(self) -> bool:
        return True

    def hurry(self) -> None:
        """Nothing: transactions of others are short, or undone by PostgreSQL."""

    async def close(self) -> None:
        while self._writes:
            await asyncio.wait(self._writes)
        for pool in (self._lists, self._singles):
            await pool.settled()
        for connection in (*self._lists.readers, *self._singles.readers, *self._all_writers):
            await connection.close()
        await self._writing.dispose()
        await self._reading.dispose()


@contextlib.contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        mapped = translated(error)
        if mapped is error:
            raise
        raise mapped from error


def _status(conn: Connection, number: str) -> str:
    try:
        found = conn.exec_driver_sql("SELECT pg_xact_status($1::text::xid8)", (number,)).scalar()
    except Exception as error:
        # After a crash: a number that PostgreSQL has not given out yet.
        if sqlstate(error) == "22023":
            return "aborted"
        raise
    if found is None:
        raise unavailable()
    return str(found)
