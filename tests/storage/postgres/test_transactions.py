"""What becomes of a transaction that the server, or the network, lets down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import Connection

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.storage.postgres.database import PostgresDatabase
from service.storage.store import SqlStore
from tests.backends.postgres import PostgresBackend
from tests.ports import free_port
from tests.storage.postgres.cutting_proxy import Cut, CuttingProxy, cutting_proxy


@pytest.fixture
async def proxy(server: PostgresBackend) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(server.url.host or "", server.url.port or 5432) as proxy:
        yield proxy


@pytest.fixture
async def far(server: PostgresBackend, proxy: CuttingProxy) -> AsyncIterator[SqlStore]:
    """A store whose connections go through the proxy."""
    store = await server.replica(server.folder, port=proxy.port).open()
    yield store
    await store.close()


@pytest.mark.parametrize("cut", Cut)
async def test_a_write_whose_connection_breaks_in_the_commit_is_done_once(
    far: SqlStore, proxy: CuttingProxy, cut: Cut
) -> None:
    principal = m.Principal(await far.ensure_tenant("one"), "key")
    await far.documents.upsert(principal, m.DocumentWrite("before", None, ("a",)), None)
    proxy.cut(cut)
    receipt = await far.documents.upsert(principal, m.DocumentWrite("text", None, ("a",)), None)
    page = await far.documents.list(
        principal, m.DocumentQuery(containers=("a",)), m.PageRequest(10)
    )
    assert proxy.has_cut
    assert receipt.revision == page.revision == 2
    assert len(page.items) == 2


async def test_a_deadlock_is_nothing_that_a_caller_hears_of(server: PostgresBackend) -> None:
    server.deadlocks_allowed = True
    store = await server.open()
    tenants = [await store.ensure_tenant(name) for name in ("one", "two")]
    first, second = tenants
    lock = "SELECT 1 FROM tenants WHERE tenant = $1 FOR UPDATE"
    other = await asyncpg.connect(server.address)
    try:
        # So that it is the store's transaction that the server undoes.
        await other.execute("SET deadlock_timeout = '1h'")
        await other.execute("BEGIN")
        await other.execute(lock, second)
        attempts = 0
        has_first = asyncio.Event()

        def crossing(conn: Connection) -> int:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                conn.exec_driver_sql(lock, (first,))
                has_first.set()
            # Then in the other's order: it could be quicker than the other to lock the first.
            conn.exec_driver_sql(lock, (second,))
            return attempts

        writing = asyncio.create_task(store.engine.database.write(crossing))
        await has_first.wait()
        await other.execute(lock, first)
        await other.execute("COMMIT")
        # Run again, it may take the first row before the other one has woken up.
        assert await writing > 1
    finally:
        await other.close()
        await store.close()


async def test_while_the_server_is_away_callers_are_told_to_retry(
    server: PostgresBackend,
) -> None:
    gone = server.replica(server.folder, port=free_port()).location.server
    assert gone is not None
    database = PostgresDatabase(gone)
    with pytest.raises(PalimpsestError) as raised:
        await database.read(lambda conn: conn.exec_driver_sql("SELECT 1").all())
    with pytest.raises(PalimpsestError) as written:
        await database.write(lambda conn: conn.exec_driver_sql("SELECT 1").all())
    await database.close()
    for error in (raised.value, written.value):
        assert error.reason is Reason.STORAGE_UNAVAILABLE
        assert error.retry_after
        assert "127.0.0.1" not in error.message


async def test_a_connection_that_was_ended_between_calls_is_made_again(
    server: PostgresBackend,
) -> None:
    store = await server.open()
    principal = m.Principal(await store.ensure_tenant("one"), "key")
    for number in range(3):
        written = await store.documents.upsert(
            principal, m.DocumentWrite(f"text {number}", "one"), None
        )
        assert (await store.documents.get(principal, written.id)).revision == written.revision
        server.rows(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'palimpsest'"
        )
    await store.close()
