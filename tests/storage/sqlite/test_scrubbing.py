"""Deleted texts leave the files by themselves: the log soon, page slack when it is time."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.core import model as m
from service.core.times import WallClock
from service.core.windows import DailyWindow
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync
from service.storage.sqlite.scrubbing import Schedule
from service.storage.sqlite.store import SqliteStore, StoreOptions, open_store
from tests.deletion.markers import Markers, found_in
from tests.storage.conftest import START, Clock
from tests.waiting import HANG_SECONDS, until

SECOND = 1_000_000
HOUR = 3600 * SECOND
LIMIT_BYTES = 1000
NEVER = 3600.0

WINDOW = DailyWindow.parse("09:00-10:00")
"""START is at 08:00."""


@asynccontextmanager
async def opened(
    path: Path, clock: Clock, options: StoreOptions
) -> AsyncIterator[tuple[SqliteStore, m.Principal]]:
    store = await open_store(path, options, WallClock(clock))
    try:
        yield store, m.Principal(await store.ensure_tenant("test"), "key")
    finally:
        await store.close()


async def _delete_much(store: SqliteStore, principal: m.Principal) -> None:
    """Leaves free pages behind, which a rewrite of the file removes."""
    writes = [m.DocumentWrite("x" * 9000, f"c{i}") for i in range(20)]
    await store.documents.batch_upsert(principal, writes, None)
    await store.documents.delete_ids(
        principal, [w.custom_id or "" for w in writes], None, validate_only=False
    )


def _free_pages(path: Path) -> int:
    with open_sync(path) as conn:
        return int(conn.exec_driver_sql("PRAGMA freelist_count").scalar_one())


def _copy(database: Path, folder: Path) -> None:
    """The files as a crash at this moment would leave them."""
    folder.mkdir()
    for file in database.parent.glob(database.name + "*"):
        shutil.copy(file, folder)


async def test_a_deleted_text_leaves_every_file_without_being_asked(
    tmp_path: Path, clock: Clock
) -> None:
    options = StoreOptions(checkpoint_interval=0.02, scrub_interval=NEVER)
    async with opened(tmp_path / "a.db", clock, options) as (store, principal):
        markers = Markers()
        gone = [markers.new("document") for _ in range(4)]
        await store.documents.upsert(principal, m.DocumentWrite(gone[0], gone[1]), None)
        await store.documents.upsert(principal, m.DocumentWrite(gone[2], "other"), None)
        made = await store.memories.create(
            principal, m.MemoryCreate("a", (m.NewMemory(gone[3]),)), None
        )
        assert set(gone) <= found_in(tmp_path)
        kept = markers.new("document")
        await store.documents.delete(principal, m.DocumentDelete(gone[1]), None)
        await store.documents.upsert(principal, m.DocumentWrite(kept, "other"), None)
        await store.memories.delete(principal, m.MemoryDelete("a", made.receipts[0].id), None)

        async def only_what_is_kept() -> bool:
            return await asyncio.to_thread(found_in, tmp_path) == {kept}

        await until(only_what_is_kept)


async def test_what_a_crash_left_in_the_log_leaves_it_without_another_write(
    store: SqliteStore, principal: m.Principal, clock: Clock, tmp_path: Path
) -> None:
    markers = Markers()
    gone, kept = markers.new("document"), markers.new("document")
    await store.documents.upsert(principal, m.DocumentWrite(kept, "kept"), None)
    await store.documents.upsert(principal, m.DocumentWrite(gone, "gone"), None)
    await store.file.checkpoint()
    await store.documents.delete(principal, m.DocumentDelete("gone"), None)
    left = tmp_path / "left"
    _copy(store.path, left)
    assert gone in found_in(left)
    options = StoreOptions(checkpoint_interval=0.02, scrub_interval=NEVER)
    async with opened(left / "palimpsest.db", clock, options) as (again, _):
        assert again.path.parent == left

        async def only_what_is_kept() -> bool:
            return await asyncio.to_thread(found_in, left) == {kept}

        await until(only_what_is_kept)


async def test_a_small_database_is_scrubbed_by_itself(tmp_path: Path, clock: Clock) -> None:
    options = StoreOptions(scrub_interval=0.02)
    async with opened(tmp_path / "a.db", clock, options) as (store, principal):
        await _delete_much(store, principal)
        assert _free_pages(store.path) > 0
        clock.advance(3600)
        await until(lambda: _free_pages(store.path) == 0)


async def test_a_large_database_is_scrubbed_in_its_window_once(
    tmp_path: Path, clock: Clock
) -> None:
    options = StoreOptions(
        checkpoint_interval=NEVER, scrub_interval=60, scrub_window=WINDOW, scrub_limit=1
    )
    async with opened(tmp_path / "a.db", clock, options) as (store, principal):
        await _delete_much(store, principal)
        clock.advance(1800)
        assert not await store.scrub_if_due()
        clock.advance(1800)
        assert await store.scrub_if_due()
        assert _free_pages(store.path) == 0
        await _delete_much(store, principal)
        clock.advance(600)
        assert not await store.scrub_if_due()
        clock.advance(24 * 3600)
        assert await store.scrub_if_due()


async def test_a_restart_forgets_no_scrub_that_is_due(tmp_path: Path, clock: Clock) -> None:
    options = StoreOptions(scrub_interval=60)
    path = tmp_path / "a.db"
    async with opened(path, clock, options) as (store, principal):
        await store.documents.upsert(principal, m.DocumentWrite("x", "c"), None)
        await store.documents.delete(principal, m.DocumentDelete("c"), None)
    async with opened(path, clock, options) as (store, _):
        clock.advance(61)
        assert await store.scrub_if_due()
    async with opened(path, clock, options) as (store, _):
        clock.advance(61)
        assert not await store.scrub_if_due()


async def test_writes_that_delete_nothing_ask_for_no_scrub(
    store: SqliteStore, principal: m.Principal, clock: Clock
) -> None:
    await store.documents.upsert(principal, m.DocumentWrite("text"), None)
    made = await store.memories.create(principal, m.MemoryCreate("a", (m.NewMemory("v1"),)), None)
    target = m.MemoryTarget("a", made.receipts[0].id)
    updated = await store.memories.update(principal, m.MemoryUpdate(target, "v2"), None)
    target = m.MemoryTarget("a", updated.receipt.id)
    await store.memories.forget(principal, m.MemoryForget(target), None)
    clock.advance(3600)
    assert not store.maintenance.scrubs.pending
    await store.documents.update(
        principal,
        m.DocumentPatch(
            (await store.documents.upsert(principal, m.DocumentWrite("a", "c"), None)).id, "b"
        ),
        None,
    )
    assert store.maintenance.scrubs.pending


@pytest.mark.parametrize("by", ["server", "command"])
async def test_callers_go_on_while_the_database_is_scrubbed(
    store: SqliteStore, principal: m.Principal, by: str
) -> None:
    markers = Markers()
    dead = [markers.new("document") for _ in range(200)]
    for name in dead:
        await store.documents.upsert(principal, m.DocumentWrite("y" * 5000 + name, name), None)
    await store.documents.upsert(principal, m.DocumentWrite("text", "kept"), None)
    for start in (0, 100):
        names = dead[start : start + 100]
        await store.documents.delete_ids(principal, names, None, validate_only=False)
    stop = asyncio.Event()
    counts = [0, 0, 0]

    async def write() -> None:
        while not stop.is_set():
            await store.documents.upsert(principal, m.DocumentWrite(f"v{counts[0]}", "busy"), None)
            counts[0] += 1

    async def get() -> None:
        while not stop.is_set():
            assert (await store.documents.get(principal, "kept")).content == "text"
            counts[1] += 1

    async def list_all() -> None:
        while not stop.is_set():
            page = await store.documents.list(principal, m.DocumentQuery(), m.PageRequest(50))
            assert len(page.items) in (1, 2)
            counts[2] += 1

    callers = [asyncio.create_task(work()) for work in (write, write, get, get, list_all, list_all)]
    try:
        if by == "server":
            assert await store.file.scrub()
        else:
            await asyncio.to_thread(SqliteAdministration(store.path).scrub, lambda _: None)
    finally:
        stop.set()
        await asyncio.gather(*callers)
    assert all(counts)
    assert not found_in(store.path.parent)
    assert SqliteAdministration(store.path).check(lambda _: None) == []


async def test_the_command_gets_by_a_server_that_checkpoints(
    store: SqliteStore, principal: m.Principal
) -> None:
    stop = asyncio.Event()

    async def checkpoint() -> None:
        while not stop.is_set():
            await store.documents.upsert(principal, m.DocumentWrite("x" * 5000), None)
            await store.file.checkpoint()

    server = asyncio.create_task(checkpoint())
    try:
        for _ in range(10):
            await asyncio.to_thread(SqliteAdministration(store.path).scrub, lambda _: None)
    finally:
        stop.set()
        await server


async def test_a_scrub_that_is_cancelled_leaves_the_database_sound_and_the_scrub_due(
    store: SqliteStore, principal: m.Principal, clock: Clock
) -> None:
    await _delete_much(store, principal)
    clock.advance(3600)
    for step in range(20):
        task = asyncio.create_task(store.scrub_if_due())
        await asyncio.sleep(step * 0.0002)
        task.cancel()
        await asyncio.wait((task,))
        await store.documents.upsert(principal, m.DocumentWrite("text", "kept"), None)
        clock.advance(3600)
        if task.cancelled():
            assert store.maintenance.scrubs.pending
        else:
            await _delete_much(store, principal)
            clock.advance(3600)
    assert (await store.documents.get(principal, "kept")).content == "text"
    assert SqliteAdministration(store.path).check(lambda _: None) == []
    assert await store.scrub_if_due()


def test_a_small_database_waits_for_the_interval_and_a_moment_without_writes() -> None:
    schedule = Schedule(60, None, LIMIT_BYTES)
    schedule.wrote(START, erased=False)
    assert not schedule.due(START + HOUR, 1)
    schedule.wrote(START, erased=True)
    assert not schedule.due(START + 59 * SECOND, 1)
    assert schedule.due(START + 60 * SECOND, 1)
    schedule.wrote(START + 60 * SECOND, erased=False)
    assert not schedule.due(START + 60 * SECOND + 1, 1)
    assert schedule.due(START + 61 * SECOND, 1)
    schedule.wrote(START + 119 * SECOND, erased=True)
    assert schedule.due(START + 120 * SECOND, 1), "there may never be such a moment"


def test_a_long_scrub_is_followed_by_a_longer_pause() -> None:
    schedule = Schedule(60, None, LIMIT_BYTES)
    schedule.wrote(START, erased=True)
    schedule.begin()
    schedule.end(START, seconds=3)
    schedule.wrote(START, erased=True)
    assert not schedule.due(START + 299 * SECOND, 1)
    assert schedule.due(START + 300 * SECOND, 1)


def test_a_scrub_that_failed_is_tried_again_after_the_interval() -> None:
    schedule = Schedule(60, None, LIMIT_BYTES)
    schedule.wrote(START, erased=True)
    schedule.begin()
    schedule.failed(START + HOUR)
    assert not schedule.due(START + HOUR + 59 * SECOND, 1)
    assert schedule.due(START + HOUR + 60 * SECOND, 1)


def test_a_large_database_without_a_window_is_not_scrubbed_by_itself() -> None:
    schedule = Schedule(60, None, LIMIT_BYTES)
    schedule.wrote(START, erased=True)
    assert not schedule.due(START + 1000 * HOUR, LIMIT_BYTES)
    assert schedule.unscheduled(LIMIT_BYTES)
    assert schedule.due(START + 1000 * HOUR, LIMIT_BYTES - 1)
    assert not schedule.unscheduled(LIMIT_BYTES - 1)


@pytest.mark.processes
def test_the_copy_that_a_scrub_makes_lies_beside_the_database(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from service import cli\n"
        "assert 'sqlite3' not in sys.modules, 'too late to tell it'\n"
        "cli.main(['scrub', '--data-dir', sys.argv[1]], standalone_mode=False)\n"
        "assert os.environ['SQLITE_TMPDIR'] == os.path.abspath(sys.argv[1])\n"
    )
    SqliteAdministration(tmp_path / "palimpsest.db").migrate()
    environment = {name: value for name, value in os.environ.items() if name != "SQLITE_TMPDIR"}
    subprocess.run(
        [sys.executable, "-c", script, tmp_path], check=True, timeout=HANG_SECONDS, env=environment
    )
