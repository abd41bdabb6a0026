"""Room that is kept for deletions: who may use it, and when it is made again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.core.times import WallClock
from service.storage.mutations import BatchResult, Submission
from service.storage.sqlite.disk_reserve import DiskReserve, given_up
from service.storage.sqlite.room import storage_full
from service.storage.sqlite.store import SqliteStore, StoreOptions, open_store
from tests.storage.conftest import Clock

SIZE = 64 * 1024


def size_of(path: Path) -> int:
    return path.with_name(path.name + ".reserve").stat().st_size


class FullDisk:
    """A disk on which transactions of more than so many deletions find no room."""

    def __init__(self, store: SqliteStore, room: int) -> None:
        self.room = room
        self.refused = 0
        self._run = store.engine._run_batch
        store.engine._run_batch = self._limited  # type: ignore[method-assign]
        self._path = store.path

    def _limited(self, conn: Connection, submissions: Sequence[Submission]) -> BatchResult:
        if size_of(self._path):
            self.refused += 1
            raise storage_full()
        before = _documents(conn)
        done = self._run(conn, submissions)
        if before - _documents(conn) > self.room:
            self.refused += 1
            raise storage_full()
        return done


def _documents(conn: Connection) -> int:
    return int(
        conn.exec_driver_sql("/* look */ SELECT sum(documents) FROM containers").scalar() or 0
    )


@asynccontextmanager
async def opened(path: Path, clock: Clock) -> AsyncIterator[tuple[SqliteStore, m.Principal]]:
    options = StoreOptions(sweep_interval=3600, checkpoint_interval=3600, disk_reserve=SIZE)
    store = await open_store(path, options, WallClock(clock))
    try:
        yield store, m.Principal(await store.ensure_tenant("test"), "key")
    finally:
        await store.close()


async def fill(store: SqliteStore, principal: m.Principal, count: int) -> list[str]:
    names = [f"c{number}" for number in range(count)]
    writes = [m.DocumentWrite("text", name, ("flood",)) for name in names]
    await store.documents.batch_upsert(principal, writes, None)
    return names


def test_a_reserve_is_made_given_up_and_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    reserve = DiskReserve(path, SIZE)
    assert (size_of(path), reserve.held(SIZE)) == (SIZE, True)
    with reserve.given_up():
        assert size_of(path) == 0
        assert not reserve.make(SIZE), "somebody uses the room"
    assert reserve.make(SIZE)
    with given_up(path):
        assert size_of(path) == 0
        assert not reserve.make(SIZE), "another process uses the room"
    reserve.lend()
    assert size_of(path) == 0, "there is no half to lend"
    assert reserve.make(SIZE)
    reserve.lend()
    assert size_of(path) == SIZE // 2
    reserve.close()
    smaller = DiskReserve(path, SIZE // 4)
    assert size_of(path) == SIZE // 4
    smaller.close()


def test_a_reserve_that_finds_no_room_is_not_made_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = DiskReserve(tmp_path / "a.db", SIZE)
    with reserve.given_up():
        pass
    monkeypatch.setattr("service.storage.sqlite.disk_reserve.room_at", lambda path: SIZE - 1)
    assert not reserve.make(SIZE)
    assert size_of(tmp_path / "a.db") == 0
    reserve.close()


async def test_what_adds_waits_for_the_reserve_and_deletions_do_not(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "a.db", clock) as (store, principal):
        await fill(store, principal, 3)
        with given_up(store.path):
            pass
        monkeypatch.setattr("service.storage.sqlite.disk_reserve.room_at", lambda path: 0)
        with pytest.raises(PalimpsestError) as caught:
            await store.documents.upsert(principal, m.DocumentWrite("more"), None)
        assert caught.value.reason is Reason.STORAGE_FULL
        assert (await store.documents.get(principal, "c1")).content == "text"
        await store.documents.delete(principal, m.DocumentDelete("c1"), None)
        assert size_of(store.path) == 0
        monkeypatch.undo()
        await store.documents.upsert(principal, m.DocumentWrite("more"), None)
        assert size_of(store.path) == SIZE


async def test_deletions_that_share_a_batch_with_what_adds_go_through(
    tmp_path: Path, clock: Clock
) -> None:
    async with opened(tmp_path / "a.db", clock) as (store, principal):
        names = await fill(store, principal, 8)
        FullDisk(store, 1)
        calls: list[Any] = [
            store.documents.delete(principal, m.DocumentDelete(name), None) for name in names
        ]
        calls.insert(4, store.documents.upsert(principal, m.DocumentWrite("more"), None))
        done = await asyncio.gather(*calls, return_exceptions=True)
        added = done.pop(4)
        assert isinstance(added, PalimpsestError)
        assert added.reason is Reason.STORAGE_FULL
        assert not [one for one in done if isinstance(one, BaseException) or not one.id]
        left = await store.documents.list(principal, m.DocumentQuery(), m.PageRequest(10))
        assert left.items == []


@pytest.mark.parametrize("room", [1, 7])
async def test_a_deletion_goes_on_in_steps_that_find_room(
    tmp_path: Path, clock: Clock, room: int
) -> None:
    async with opened(tmp_path / "a.db", clock) as (store, principal):
        names = await fill(store, principal, 60)
        disk = FullDisk(store, room)
        request = m.IdempotencyKey("00000000-0000-4000-8000-000000000001", b"fingerprint")
        by_ids = await store.documents.delete_ids(
            principal, [*names[:30], "nope", names[0]], request, validate_only=False
        )
        assert (by_ids.deleted, by_ids.complete) == (30, True)
        assert [index for index, _ in by_ids.errors] == [30, 31]
        again = await store.documents.delete_ids(principal, [], request, validate_only=False)
        assert again == by_ids
        whole = await store.containers.delete(
            principal, "flood", None, validate_only=False, allow_missing=False, budget=None
        )
        assert (whole.documents, whole.container_deleted) == (30, True)
        assert disk.refused > 2


async def test_a_deletion_that_finds_no_room_says_what_it_did(tmp_path: Path, clock: Clock) -> None:
    async with opened(tmp_path / "a.db", clock) as (store, principal):
        names = await fill(store, principal, 20)
        disk = FullDisk(store, 5)
        request = m.IdempotencyKey("00000000-0000-4000-8000-000000000002", b"fingerprint")
        run = disk._run

        def closing(conn: Connection, submissions: Sequence[Submission]) -> BatchResult:
            if _documents(conn) <= 10:
                disk.room = 0
            return run(conn, submissions)

        disk._run = closing
        part = await store.documents.delete_ids(principal, names, request, validate_only=False)
        assert (part.complete, part.deleted) == (False, 10)
        disk.room, disk._run = 5, run
        rest = await store.documents.delete_ids(principal, names, request, validate_only=False)
        assert (rest.complete, rest.deleted, rest.errors) == (True, 20, ())
