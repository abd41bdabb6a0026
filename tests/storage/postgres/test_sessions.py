"""What servers on one database have in common: its clock, and keys that are in force."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.core.times import SECOND, system_clock
from service.storage import opening
from service.storage.postgres.clock import DatabaseClock
from service.storage.postgres.store import PostgresStore
from service.storage.store import SqlStore
from tests.backends.postgres import PostgresBackend

AHEAD = 5 * SECOND


@pytest.fixture
async def apart(server: PostgresBackend) -> AsyncIterator[list[SqlStore]]:
    """Servers whose own clocks are five seconds ahead, and five behind."""
    stores = [
        await server.open(DatabaseClock(lambda by=by: system_clock() + by))  # type: ignore[misc]
        for by in (AHEAD, -AHEAD)
    ]
    yield stores
    for store in stores:
        await store.close()


async def test_servers_go_by_the_clock_of_the_database(apart: list[SqlStore]) -> None:
    for store in apart:
        await store.ensure_tenant("one")
    one, other = (store.now() for store in apart)
    assert abs(one - other) < AHEAD


async def test_what_one_server_did_another_knows_whatever_their_clocks_say(
    apart: list[SqlStore],
) -> None:
    principal = m.Principal(await apart[0].ensure_tenant("one"), "key")
    for writer, reader in (apart, apart[::-1]):
        made = await writer.memories.create(
            principal, m.MemoryCreate("a", (m.NewMemory("text"),)), None
        )
        memory = made.receipts[0]
        assert (await reader.memories.get(principal, "a", memory.id, None)).content == "text"
        then = await reader.memories.get(principal, "a", memory.id, memory.create_time)
        assert then.content == "text"
        await reader.memories.forget(
            principal, m.MemoryForget(m.MemoryTarget("a", memory.id)), None
        )
        assert (await writer.memories.get(principal, "a", memory.id, None)).forgotten


async def test_a_revoked_key_is_refused_when_the_command_returns(server: PostgresBackend) -> None:
    store = await server.open()
    database = opening.administration(server.location)
    info, secret = database.create_key(
        tenant="one", label="", containers=(), read_only=False, expires_at=None
    )
    for _ in range(3):
        assert (await store.keys.authenticate(secret)).key_id == info.key_id
    assert database.revoke_key(info.key_id)
    with pytest.raises(PalimpsestError) as refused:
        await store.keys.authenticate(secret)
    assert refused.value.reason is Reason.KEY_INVALID
    await store.close()


async def test_for_a_proxy_nothing_is_prepared_under_a_name(server: PostgresBackend) -> None:
    assert server.location.server is not None
    location = replace(server.location, server=replace(server.location.server, prepare=False))
    store = await opening.open_store(location)
    principal = m.Principal(await store.ensure_tenant("one"), "key")
    written = await store.documents.upsert(principal, m.DocumentWrite("text", "one"), None)
    await store.documents.get(principal, written.id)
    database = store.engine.database
    names = "SELECT name FROM pg_prepared_statements"
    for snapshot in (False, True):
        assert not await database.read(
            lambda conn: conn.exec_driver_sql(names).all(), snapshot=snapshot
        )
    assert not await database.write(lambda conn: conn.exec_driver_sql(names).all())
    await store.close()


async def test_a_table_that_grew_is_analysed(server: PostgresBackend) -> None:
    store = await server.open()
    assert isinstance(store, PostgresStore)
    principal = m.Principal(await store.ensure_tenant("one"), "key")
    writes = [m.DocumentWrite(f"text {number}") for number in range(200)]
    await store.documents.batch_upsert(principal, writes, None)
    known = "SELECT reltuples FROM pg_class WHERE relname = 'documents' AND reltuples >= 200"
    while not server.rows(known):
        await store.maintenance.run_if_due()
    await store.close()
