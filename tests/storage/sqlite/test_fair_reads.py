"""Reads that look through much: others go between, and nothing waits for their end.

A read here is endless unless it is stopped. What is asked is whether others are answered
while it is still under way, never how long that takes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import Connection, text

from service.core import model as m
from service.storage.reader_pool import RESTARTS, SPARE, ReaderPool, Turn
from service.storage.sqlite.store import SqliteStore

LIMIT = 15.0
"""Only a failure lasts so long; below what an endless read is allowed."""

_COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n {}) SELECT max(i) FROM n"
_ENDLESS = text(f"/* meant */ {_COUNT.format('')}")
_LONG = text(f"/* meant */ {_COUNT.format('LIMIT 1500000')}")
_REVISION = text("SELECT revision FROM tenants WHERE tenant = :tenant")
_ONE = text("SELECT name FROM secrets")


class Endless:
    """A read without an end."""

    def __init__(self) -> None:
        self.began = threading.Event()

    def __call__(self, conn: Connection) -> None:
        conn.execute(_ONE).all()
        self.began.set()
        conn.execute(_ENDLESS)


def _short(conn: Connection) -> int:
    return len(conn.execute(_ONE).all())


@asynccontextmanager
async def _endless(
    store: SqliteStore, tenants: Sequence[int]
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Endless reads of these tenants; the first runs. They are cancelled afterwards."""
    first = Endless()
    tasks = list[asyncio.Task[None]]()
    for tenant in tenants:
        work = Endless() if tasks else first
        tasks.append(asyncio.create_task(store.file.read(work, tenant=tenant)))
    try:
        assert await asyncio.to_thread(first.began.wait, LIMIT)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _read_between(store: SqliteStore, tenant: int) -> None:
    async with asyncio.timeout(LIMIT):
        assert await store.file.read(_short, tenant=tenant)


async def test_one_tenants_scans_do_not_hold_up_anothers_list(store: SqliteStore) -> None:
    async with _endless(store, [1] * 30) as scans:
        for _ in range(3):
            await _read_between(store, 2)
        assert not any(scan.done() for scan in scans)


async def test_nor_a_list_of_the_same_tenant(store: SqliteStore) -> None:
    async with _endless(store, [1]) as scans:
        await _read_between(store, 1)
        assert not scans[0].done()


async def test_nor_do_the_scans_of_several_tenants(store: SqliteStore) -> None:
    async with _endless(store, [t for t in range(1, SPARE + 1) for _ in range(5)]) as scans:
        await _read_between(store, 99)
        assert not any(scan.done() for scan in scans)


async def test_a_paused_read_goes_on_where_it_was_on_the_snapshot_it_had(
    store: SqliteStore, principal: m.Principal
) -> None:
    began = threading.Event()

    def long(conn: Connection) -> tuple[int, int, int]:
        before = conn.execute(_REVISION, {"tenant": principal.tenant}).scalar_one()
        began.set()
        counted = conn.execute(_LONG).scalar_one()
        return before, counted, conn.execute(_REVISION, {"tenant": principal.tenant}).scalar_one()

    scan = asyncio.create_task(store.file.read(long, tenant=1))
    assert await asyncio.to_thread(began.wait, LIMIT)
    written = 0
    while not scan.done():
        written = (await store.documents.upsert(principal, m.DocumentWrite("text"), None)).revision
        await store.file.read(_short, tenant=2)
    assert written
    assert await scan == (0, 1_500_000, 0)


async def test_those_who_have_gone_leave_room_for_others(store: SqliteStore) -> None:
    async with _endless(store, [t for t in range(1, 9) for _ in range(4)]):
        pass
    async with _endless(store, [1] * 4):
        await _read_between(store, 9)
    async with asyncio.timeout(LIMIT), store.file.readers_paused():
        assert store.file.idle


async def test_a_checkpoint_does_not_wait_for_a_scan_which_begins_again(
    store: SqliteStore, principal: m.Principal
) -> None:
    endless, rounds = Endless(), 0

    def read(conn: Connection) -> int:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            endless(conn)
        return int(conn.execute(_REVISION, {"tenant": principal.tenant}).scalar_one())

    scan = asyncio.create_task(store.file.read(read, tenant=principal.tenant))
    assert await asyncio.to_thread(endless.began.wait, LIMIT)
    receipt = await store.documents.upsert(principal, m.DocumentWrite("text"), None)
    async with asyncio.timeout(LIMIT):
        assert await store.file.checkpoint()
        assert await scan == receipt.revision
    assert rounds == 2


async def test_however_often_checkpoints_come_a_long_read_comes_to_its_end(
    store: SqliteStore, principal: m.Principal
) -> None:
    rounds = 0

    def read(conn: Connection) -> int:
        nonlocal rounds
        rounds += 1
        return int(conn.execute(_LONG).scalar_one())

    scan = asyncio.create_task(store.file.read(read, tenant=principal.tenant))
    async with asyncio.timeout(LIMIT):
        while not scan.done():
            assert await store.file.checkpoint()
    assert await scan == 1_500_000
    assert rounds <= 1 + RESTARTS


class _Reader:
    async def settled(self) -> None:
        return


async def test_tenants_are_served_by_round_robin() -> None:
    pool: ReaderPool[_Reader] = ReaderPool([_Reader()], 1)
    order: list[str] = []
    go = asyncio.Event()

    async def read(tenant: int, name: str) -> None:
        async def work(_: _Reader, __: Turn) -> None:
            order.append(name)
            await go.wait()

        await pool.use(work, tenant)

    async with asyncio.TaskGroup() as reads:
        for tenant, name in ((1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (2, "b2"), (3, "c1")):
            reads.create_task(read(tenant, name))
            await asyncio.sleep(0)
        assert order == ["a1"]
        go.set()
    assert order == ["a1", "a2", "b1", "c1", "a3", "b2"]
    assert pool.all_idle


async def test_readers_are_kept_for_tenants_that_have_none() -> None:
    pool: ReaderPool[_Reader] = ReaderPool([_Reader() for _ in range(SPARE + 2)], SPARE + 2)
    order: list[str] = []
    go = asyncio.Event()

    async def read(tenant: int, name: str) -> None:
        async def work(_: _Reader, __: Turn) -> None:
            order.append(name)
            await go.wait()

        await pool.use(work, tenant)

    async with asyncio.TaskGroup() as reads:
        for number in range(10):
            reads.create_task(read(1, f"a{number}"))
        await asyncio.sleep(0)
        assert order == ["a0", "a1"]
        for tenant in range(2, 2 + SPARE):
            reads.create_task(read(tenant, f"t{tenant}"))
        await asyncio.sleep(0)
        assert order[2:] == [f"t{tenant}" for tenant in range(2, 2 + SPARE)]
        go.set()
    assert len(order) == 10 + SPARE


async def test_a_lane_that_is_closed_lets_nobody_in() -> None:
    pool: ReaderPool[_Reader] = ReaderPool([_Reader()], 1)
    done: list[int] = []

    async def work(_: _Reader, __: Turn) -> None:
        done.append(1)

    async with pool.readers_paused():
        waiting = asyncio.create_task(pool.use(work, 1))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not done
    await waiting
    assert done
