"""What a call that nobody waits for any more leaves behind in the storage: nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import partial

import pytest
from sqlalchemy import Connection, text

from service.core import model as m
from service.runtime.coalescing import Coalescer
from service.storage import reader_pool
from service.storage.sqlite.store import SqliteStore
from tests.waiting import HANG_SECONDS

_ANYTHING = text("SELECT name FROM secrets")
_ENDLESS = text(
    "/* meant */ WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    " SELECT max(i) FROM n"
)


@pytest.fixture(autouse=True)
def _unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that only their callers end: who waits for one that is abandoned waits for ever."""
    monkeypatch.setattr(reader_pool, "Turn", partial(reader_pool.Turn, seconds=10 * HANG_SECONDS))


async def _abandoned_read(store: SqliteStore) -> None:
    """Begin a list that would never end, and cancel it once it runs."""
    began = threading.Event()

    def endless(conn: Connection) -> None:
        # What was read first is the snapshot that a checkpoint has to wait for.
        conn.execute(_ANYTHING).all()
        began.set()
        conn.execute(_ENDLESS)

    task = asyncio.create_task(store.engine.database.read(endless))
    assert await asyncio.to_thread(began.wait, HANG_SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_read_ends_in_its_thread_too(
    store: SqliteStore, principal: m.Principal
) -> None:
    await _abandoned_read(store)
    async with asyncio.timeout(HANG_SECONDS):
        await store.documents.list(principal, m.DocumentQuery(), m.PageRequest(10))


async def test_a_cancelled_read_does_not_hold_up_the_checkpoint_and_the_writers_behind_it(
    store: SqliteStore, principal: m.Principal
) -> None:
    await store.documents.upsert(principal, m.DocumentWrite("before", "a"), None)
    await _abandoned_read(store)
    async with asyncio.timeout(HANG_SECONDS):
        emptied, _ = await asyncio.gather(
            store.engine.database.checkpoint(),
            store.documents.upsert(principal, m.DocumentWrite("after", "b"), None),
        )
    assert emptied


async def test_single_reads_go_on_while_the_checkpoint_waits_for_a_long_list(
    store: SqliteStore, principal: m.Principal
) -> None:
    document = await store.documents.upsert(principal, m.DocumentWrite("text"), None)
    began, release = threading.Event(), threading.Event()

    def long(conn: Connection) -> None:
        conn.execute(_ANYTHING).all()
        began.set()
        assert release.wait(HANG_SECONDS)

    listing = asyncio.create_task(store.engine.database.read(long))
    assert await asyncio.to_thread(began.wait, HANG_SECONDS)
    checkpoint = asyncio.create_task(store.engine.database.checkpoint())
    # The passive part is over when a write that came after it has been done.
    await asyncio.sleep(0)
    await store.documents.upsert(principal, m.DocumentWrite("other"), None)
    async with asyncio.timeout(HANG_SECONDS / 2):
        assert (await store.documents.get(principal, document.id)).content == "text"
    assert not checkpoint.done()
    release.set()
    await listing
    assert await checkpoint


async def test_a_cancelled_checkpoint_gives_every_reader_back(
    store: SqliteStore, principal: m.Principal
) -> None:
    await store.documents.upsert(principal, m.DocumentWrite("text", "a"), None)
    for step in range(60):
        task = asyncio.create_task(store.engine.database.checkpoint())
        await asyncio.sleep(step * 0.0001)
        task.cancel()
        await asyncio.wait((task,))
        async with asyncio.timeout(HANG_SECONDS):
            await store.documents.get(principal, "a")
            await store.documents.list(principal, m.DocumentQuery(), m.PageRequest(10))


async def test_cancelled_calls_leave_their_places_to_others() -> None:
    release = asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        return items

    coalescer: Coalescer[int, int] = Coalescer(run, max_waiting=8)
    running = asyncio.create_task(coalescer.submit(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    given_up = [asyncio.create_task(coalescer.submit(i)) for i in range(1, 9)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    await asyncio.wait(given_up)
    heavy = asyncio.create_task(coalescer.submit(9, weight=7))
    light = asyncio.create_task(coalescer.submit(10))
    await asyncio.sleep(0)
    release.set()
    assert [await task for task in (running, heavy, light)] == [0, 9, 10]


async def test_closing_that_is_cancelled_finishes_the_calls_that_were_taken() -> None:
    release = asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        return items

    coalescer: Coalescer[int, int] = Coalescer(run, max_waiting=8)
    taken = asyncio.create_task(coalescer.submit(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    closing = asyncio.create_task(coalescer.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait((closing,))
    release.set()
    assert await taken == 1
