"""Connections to PostgreSQL: each is made when it is needed, and again when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.core.database_location import PostgresServer
from service.storage import bulk, dialects
from service.storage.postgres.dialect import engine_for
from service.storage.postgres.errors import lost

T = TypeVar("T")

READ_SECONDS: Final = 20
"""How long one statement of a read may take."""

LOCK_SECONDS: Final = 15
"""How long a writer waits for another one before it gives up."""

IDLE_SECONDS: Final = 30
"""After so long PostgreSQL undoes a transaction whose process has stopped in the middle."""

GRACE_SECONDS: Final = 0.5
"""How long a read may go on whose caller is gone. Most end before, and another connection costs
as much as dozens of them: it is made, and its statements are prepared and planned again."""

_BEGIN_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LIMIT: Final = f"SET LOCAL statement_timeout = '{READ_SECONDS}s'"
_BEGIN_WRITE: Final = (
    f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
)


class PostgresConnection:
    """One connection, used by one caller at a time.

    Args:
        engine: Makes it.
        made: Called with it whenever it has been made.
        together: Whether each statement has to be in a transaction: a proxy that gives a
            connection to each may give one to preparing it and another one to executing it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        made: Callable[[Connection], None] | None = None,
        *,
        together: bool = False,
    ) -> None:
        self._engine = engine
        self._made = made
        self._together = together
        self._conn: AsyncConnection | None = None
        self._raw: Any = None
        self._interrupted = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, each statement on its own; again if the connection was lost before."""
        return await self._on_live(lambda conn: self._run(conn, work))

    async def _run(self, conn: AsyncConnection, work: Callable[[Connection], T]) -> T:
        if not self._together:
            return await conn.run_sync(work)
        await self._raw.execute("BEGIN")
        try:
            return await conn.run_sync(work)
        finally:
            await self._end("COMMIT")

    async def command(self, text: str) -> None:
        """Execute a statement that can be in no transaction, such as VACUUM."""

        async def executing(_: AsyncConnection) -> None:
            await self._raw.execute(text)

        await self._on_live(executing)

    async def read(self, work: Callable[[Connection], T], *, limited: bool = True) -> T:
        """Run `work` on one snapshot; `limited`: each statement by READ_SECONDS."""

        async def reading(conn: AsyncConnection) -> T:
            await self._raw.execute(f"{_BEGIN_READ}; {_LIMIT}" if limited else _BEGIN_READ)
            try:
                return await conn.run_sync(work)
            finally:
                await self._end("COMMIT")

        return await self._on_live(reading)

    async def _on_live(self, use: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        fresh = self._conn is None or self._raw.is_closed()
        try:
            return await use(await self._open())
        except asyncio.CancelledError:
            self._interrupted = True
            raise
        except Exception as error:
            if not lost(error):
                raise
            self._interrupted = True
            if fresh:
                raise
        return await use(await self._open())

    async def begin(self) -> None:
        """Begin a transaction that writes; the connection is made again if it was lost."""

        async def beginning(_: AsyncConnection) -> None:
            await self._raw.execute(_BEGIN_WRITE)

        await self._on_live(beginning)

    async def work(self, work: Callable[[Connection], T]) -> tuple[T, str | None]:
        """Run `work` in the transaction that has begun; also the transaction's number, if known."""

        def working(conn: Connection) -> tuple[T, str | None]:
            bulk.forget(conn)
            dialects.noted_transaction(conn)
            result = work(conn)
            bulk.flush(conn)
            return result, dialects.noted_transaction(conn)

        if self._conn is None:
            raise RuntimeError("no transaction has begun")
        return await self._conn.run_sync(working)

    async def commit(self) -> bool:
        """Commit the transaction; False if PostgreSQL could only undo it."""
        done: str = await self._raw.execute("COMMIT")
        return done == "COMMIT"

    async def rollback(self) -> None:
        await self._end("ROLLBACK")

    async def _end(self, command: str) -> None:
        if self._raw is None or self._raw.is_closed():
            return
        try:
            await self._raw.execute(command)
        except Exception:  # noqa: BLE001  (the connection is given up, and the transaction with it)
            self._raw.terminate()

    async def _open(self) -> AsyncConnection:
        if self._conn is not None and not self._interrupted and not self._raw.is_closed():
            return self._conn
        await self.close()
        conn = await self._engine.connect()
        self._raw = (await conn.get_raw_connection()).driver_connection
        self._conn = conn
        if self._made is not None:
            await self._run(conn, self._made)
        return conn

    async def close(self) -> None:
        """Close it, at once if it was lost or interrupted."""
        conn, raw = self._conn, self._raw
        self._conn = self._raw = None
        if conn is None:
            return
        if self._interrupted or raw.is_closed():
            raw.terminate()
        self._interrupted = False
        # That it is gone already is no failure.
        with contextlib.suppress(Exception):
            await conn.close()


class PostgresReader(PostgresConnection):
    """A connection whose reads outlast callers that are cancelled; `settled` is then due.

    Args:
        engine: See `PostgresConnection`.
        made: See `PostgresConnection`.
        together: See `PostgresConnection`.
        grace: Seconds after which such a read is interrupted, and its connection given up.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        made: Callable[[Connection], None] | None = None,
        *,
        together: bool = False,
        grace: float = GRACE_SECONDS,
    ) -> None:
        super().__init__(engine, made, together=together)
        self._grace = grace
        self._outlasting: asyncio.Task[Any] | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        return await self._outlast(super().run(work))

    async def read(self, work: Callable[[Connection], T], *, limited: bool = True) -> T:
        return await self._outlast(super().read(work, limited=limited))

    async def _outlast(self, reading: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(reading)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._outlasting = task
            raise

    async def settled(self) -> None:
        """Returns when the read whose caller was cancelled has ended."""
        task, self._outlasting = self._outlasting, None
        if task is None:
            return
        ended, _ = await asyncio.wait({task}, timeout=self._grace)
        # Connecting has a limit of its own, and if interrupted leaves a socket to the garbage
        # collector.
        while not ended and self._conn is None:
            ended, _ = await asyncio.wait({task}, timeout=self._grace)
        if task.cancel():
            await asyncio.wait({task})
        if self._interrupted:
            await self.close()


@contextlib.asynccontextmanager
async def connected(
    server: PostgresServer, *, command_timeout: float | None = None
) -> AsyncIterator[PostgresConnection]:
    """A connection for the block; see `engine_for`."""
    engine = engine_for(server, command_timeout=command_timeout)
    connection = PostgresConnection(engine, together=not server.prepare)
    try:
        yield connection
    finally:
        await connection.close()
        await engine.dispose()


async def transact(connection: PostgresConnection, work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction: committed when it returns, undone if it raises."""
    await connection.begin()
    try:
        result, _ = await connection.work(work)
    except BaseException:
        await connection.rollback()
        raise
    await connection.commit()
    return result
