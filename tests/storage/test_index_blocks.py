"""Index rows are read in blocks of bounded size, each thing whole and once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from service.core import model as m
from service.core.times import FOREVER, SECOND, Moment
from service.ports.indexing import BlockCursor, IndexBlock, IndexEntry, IndexRow, NullIndexer
from service.storage.index.blocks import ROW_BYTES, read_block
from service.storage.index.store import IndexStore
from service.storage.store import SqlStore

SPACE = 1
ENTRY = b"\1" * 300
VECTOR = b"\2" * 128


class Entries(NullIndexer):
    """Gives every text the same entry."""

    async def index(self, texts: Sequence[str], dates: Sequence[Moment | None]) -> list[IndexEntry]:
        return [IndexEntry(ENTRY, VECTOR, SPACE, date) for date in dates]

    def is_cheap(self, texts: Sequence[str]) -> bool:
        return True


@pytest.fixture
def indexer() -> Entries:
    return Entries()


async def fill(
    store: SqlStore, principal: m.Principal, count: int, container: str = "a"
) -> list[str]:
    news = tuple(m.NewMemory(f"{container} {number}") for number in range(count))
    receipt = await store.memories.create(principal, m.MemoryCreate(container, news), None)
    return [one.id for one in receipt.receipts]


def index_of(store: SqlStore, **options: Any) -> IndexStore:
    """The index of a store, read in steps of another size."""
    return IndexStore(store.engine, replace(store.options, **options))


async def blocks(
    index: IndexStore, principal: m.Principal, *, vectors: bool = True, without: Sequence[str] = ()
) -> list[IndexBlock]:
    found: list[IndexBlock] = []
    cursor: BlockCursor | None = BlockCursor()
    while cursor is not None:
        block = await index.block(
            principal.tenant, "a", cursor, SPACE if vectors else None, without=without
        )
        found.append(block)
        cursor = block.following
    return found


def memories(found: Sequence[IndexBlock]) -> list[IndexRow]:
    return [row for block in found for row in block.memories]


@pytest.mark.parametrize("per_block", [1, 3, 1000])
async def test_every_version_is_in_one_block_with_all_its_spans(
    store: SqlStore, principal: m.Principal, per_block: int
) -> None:
    index = index_of(store, index_block_bytes=per_block * (ROW_BYTES + len(ENTRY) + len(VECTOR)))
    names = await fill(store, principal, 10)
    await fill(store, principal, 4, "other")
    for name in names[2:5]:
        for _ in range(3):
            await store.memories.forget(principal, m.MemoryForget(m.MemoryTarget("a", name)), None)
            await store.memories.restore(principal, m.MemoryRestore("a", name), None)
    updated = await store.memories.update(
        principal, m.MemoryUpdate(m.MemoryTarget("a", names[0]), "new"), None
    )

    found = await blocks(index, principal)

    rows = memories(found)
    assert [row.id for row in rows] == [*names, updated.receipt.id]
    assert {len(row.spans) for row in rows[2:5]} == {4}
    assert all(list(row.spans) == sorted(row.spans) for row in rows)
    assert all((row.entry, row.vector) == (ENTRY, VECTOR) for row in rows)
    assert all(len(block.memories) <= per_block for block in found)
    assert {row.vector for row in memories(await blocks(index, principal, vectors=False))} == {None}


@pytest.mark.parametrize("most", [1, 2, 3, 5, 1000])
async def test_what_a_statement_cuts_off_is_in_the_next_block(
    store: SqlStore, principal: m.Principal, most: int
) -> None:
    names = await fill(store, principal, 5)
    for _ in range(3):
        await store.memories.forget(principal, m.MemoryForget(m.MemoryTarget("a", names[2])), None)
        await store.memories.restore(principal, m.MemoryRestore("a", names[2]), None)

    def read(conn: Connection) -> list[IndexBlock]:
        found: list[IndexBlock] = []
        cursor: BlockCursor | None = BlockCursor()
        while cursor is not None:
            size = store.options.index_block_bytes
            found.append(read_block(conn, principal.tenant, "a", cursor, SPACE, size, most=most))
            cursor = found[-1].following
        return found

    rows = memories(await store.engine.database.read(read))
    assert [row.id for row in rows] == names
    assert [len(row.spans) for row in rows] == [1, 1, 4, 1, 1]


async def test_a_delta_is_read_in_blocks_too(store: SqlStore, principal: m.Principal) -> None:
    (name, *_) = await fill(store, principal, 1)
    (before,) = await blocks(store.index, principal)
    often = (await fill(store, principal, 8))[5]
    target = m.MemoryTarget("a", content="a 3")
    await store.memories.update(principal, m.MemoryUpdate(target, "new"), None)
    # A version of more rows than are read at once.
    for _ in range(3):
        await store.memories.forget(principal, m.MemoryForget(m.MemoryTarget("a", often)), None)
        await store.memories.restore(principal, m.MemoryRestore("a", often), None)
    whole = await store.index.delta(principal.tenant, "a", before.revision, SPACE)
    index = index_of(store, index_block_bytes=1)

    delta = await index.delta(principal.tenant, "a", before.revision, SPACE)
    parts = [delta]
    while parts[-1].following is not None:
        parts.append(await index.more(principal.tenant, "a", parts[-1].following, SPACE))

    assert len(parts) >= 9
    assert all(len(part.memories) <= 1 for part in parts)
    assert [row for part in parts for row in part.memories] == list(whole.memories)
    assert (delta.entities, delta.revision) == (whole.entities, whole.revision)
    assert all(part.entities == frozenset() for part in parts[1:])
    assert name not in (whole.entities or ())


async def test_of_very_many_changes_the_first_can_be_had(
    store: SqlStore, principal: m.Principal
) -> None:
    await fill(store, principal, 1)
    (before,) = await blocks(store.index, principal)
    names = await fill(store, principal, 5)
    index = index_of(store, index_changes=2)
    tenant = principal.tenant

    assert (await index.delta(tenant, "a", before.revision, SPACE)).entities is None
    revision, seen, steps = before.revision, set[str](), 0
    complete = False
    while not complete:
        delta = await index.delta(tenant, "a", revision, SPACE, stepwise=True)
        revision, complete = delta.revision, delta.complete
        seen |= delta.entities or set()
        steps += 1

    assert seen == set(names)
    assert steps == 3
    assert revision == before.revision + 5


async def test_the_first_of_very_many_changes_are_so_before_and_after_a_deletion(
    store: SqlStore, principal: m.Principal
) -> None:
    """Changes of a deleted container are under another name than those of its successor."""
    await fill(store, principal, 1)
    (before,) = await blocks(store.index, principal)
    gone = await fill(store, principal, 3)
    await store.containers.delete(
        principal, "a", None, validate_only=False, allow_missing=False, budget=None
    )
    await store.redact()
    fresh = await fill(store, principal, 3)
    index = index_of(store, index_changes=2)

    revision, complete = before.revision, False
    seen: list[frozenset[str]] = []
    while not complete:
        delta = await index.delta(principal.tenant, "a", revision, SPACE, stepwise=True)
        assert delta.entities is not None
        assert delta.revision > revision
        revision, complete = delta.revision, delta.complete
        seen.append(delta.entities)

    assert set(gone) < set().union(*seen)
    assert seen[-1] <= set(fresh)
    assert set(fresh) <= set().union(*seen)
    assert revision == (await index.delta(principal.tenant, "a", revision, SPACE)).revision


async def test_rows_say_until_when_they_are_shown_as_of_now(
    store: SqlStore, principal: m.Principal
) -> None:
    kept, forgotten, restored, superseded = await fill(store, principal, 4)
    end = store.now() + SECOND
    scheduled = m.MemoryCreate("a", (m.NewMemory("scheduled", forget_after=end),))
    later = (await store.memories.create(principal, scheduled, None)).receipts[0].id
    for name in (forgotten, restored):
        await store.memories.forget(principal, m.MemoryForget(m.MemoryTarget("a", name)), None)
    await store.memories.restore(principal, m.MemoryRestore("a", restored), None)
    target = m.MemoryTarget("a", superseded)
    new = await store.memories.update(principal, m.MemoryUpdate(target, "new"), None)

    rows = memories(await blocks(store.index, principal))

    assert {row.id: row.until for row in rows} == {
        kept: FOREVER,
        forgotten: 0,
        restored: FOREVER,
        superseded: 0,
        later: end,
        new.receipt.id: FOREVER,
    }
