"""Reads whose callers are cancelled: what becomes of their connections."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.postgres.connections import PostgresReader, connected
from service.storage.postgres.dialect import engine_for
from tests.backends.postgres import PostgresBackend
from tests.waiting import HANG_SECONDS, until

LOCK: Final = 1
"""Of a statement that lasts as long as a test likes."""

WAITING: Final = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event = 'advisory'"
)


@pytest.fixture
async def engine(server: PostgresBackend) -> AsyncIterator[AsyncEngine]:
    assert server.location.server is not None
    engine = engine_for(server.location.server, command_timeout=HANG_SECONDS)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def locked(server: PostgresBackend) -> AsyncIterator[None]:
    """`wait_for_lock` takes as long as the block."""
    assert server.location.server is not None
    async with connected(server.location.server) as holder:
        await holder.run(lambda conn: conn.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})"))
        yield


def wait_for_lock(conn: Connection) -> None:
    conn.exec_driver_sql(f"SELECT pg_advisory_lock_shared({LOCK})")


def session(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


async def cancelled_in_a_statement(server: PostgresBackend, reader: PostgresReader) -> None:
    reading = asyncio.create_task(reader.read(wait_for_lock))
    await until(lambda: bool(server.rows(WAITING)))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_read_that_ends_soon_keeps_its_connection(
    server: PostgresBackend, engine: AsyncEngine
) -> None:
    reader = PostgresReader(engine, grace=HANG_SECONDS)
    before = await reader.run(session)
    async with locked(server):
        await cancelled_in_a_statement(server, reader)
    await reader.settled()
    assert await reader.read(session) == before
    await reader.close()


async def test_a_read_that_goes_on_is_interrupted_and_its_session_ends(
    server: PostgresBackend, engine: AsyncEngine
) -> None:
    reader = PostgresReader(engine, grace=0.001)
    before = await reader.run(session)
    async with locked(server):
        await cancelled_in_a_statement(server, reader)
        await reader.settled()
        await until(lambda: not server.rows(WAITING))
        assert await reader.read(session) != before
    await reader.close()


async def test_connecting_is_not_interrupted(engine: AsyncEngine) -> None:
    """The driver would leave a socket behind, and a future whose error the loop reports."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    turns, read = 0, False
    while not read:
        reader = PostgresReader(engine, grace=0.001)
        reading = asyncio.create_task(reader.run(session))
        for _ in range(turns):
            await asyncio.sleep(0)
        read = not reading.cancel()
        await asyncio.wait({reading})
        await reader.settled()
        await reader.close()
        turns += 1
    gc.collect()
    assert reported == []
