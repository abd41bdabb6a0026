"""A database of a release without actors is upgraded, and read as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sqlalchemy import text

from service.core import model as m
from service.core.times import WallClock
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.store import SqliteStore, StoreOptions, open_store
from tests.old_schemas import set_back
from tests.storage.conftest import Clock

BEFORE = "0011"
"""The schema before actors."""

OPTIONS = StoreOptions(sweep_interval=3600, checkpoint_interval=3600)


async def written(
    store: SqliteStore, principal: m.Principal
) -> tuple[list[m.Change], list[m.Memory]]:
    changes = await store.changes.list(principal, m.ChangeQuery())
    memories = await store.memories.list(
        principal, m.MemoryQuery(("a",), include_history=True), m.PageRequest(100)
    )
    return list(changes.changes), list(memories.items)


async def test_what_was_there_stays_and_new_writes_have_an_actor(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "palimpsest.db"
    store = await open_store(path, OPTIONS, WallClock(clock))
    principal = m.Principal(await store.ensure_tenant("one"), "test")
    create = m.MemoryCreate("a", (m.NewMemory("x"), m.NewMemory("y")))
    made = await store.memories.create(principal, create, None)
    first = made.receipts[0].id
    update = m.MemoryUpdate(m.MemoryTarget("a", first), "z")
    await store.memories.update(principal, update, None)
    before = await written(store, principal)
    await store.close()
    with open_sync(path) as conn:
        transact(conn, lambda conn: set_back(conn, BEFORE))
        for table in ("changes", "memories"):
            columns = {row.name for row in conn.execute(text(f"PRAGMA table_info({table})"))}
            assert "actor" not in columns

    store = await open_store(path, OPTIONS, WallClock(clock))
    try:
        assert await written(store, principal) == before
        ann = replace(principal, actor="ann")
        await store.memories.update(
            ann, m.MemoryUpdate(m.MemoryTarget("a", content="z"), "w"), None
        )
        changes, memories = await written(store, principal)
    finally:
        await store.close()
    assert [change.actor for change in changes] == ["", "", "", "ann"]
    assert sorted(memory.actor for memory in memories) == ["", "", "", "ann"]
    assert SqliteAdministration(path).check(lambda _: None) == []
