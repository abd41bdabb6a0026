"""Each call of a batch leaves its own actor, wherever changes are written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from service.core import model as m
from service.storage.containers import purges
from service.storage.store import SqlStore
from tests.backends.base import Backend
from tests.storage.conftest import Clock


def of(principal: m.Principal, actor: str) -> m.Principal:
    return replace(principal, actor=actor)


def memory(text: str) -> m.MemoryCreate:
    return m.MemoryCreate("a", (m.NewMemory(text),))


async def changes(store: SqlStore, principal: m.Principal) -> list[m.Change]:
    return list((await store.changes.list(principal, m.ChangeQuery(size=5000))).changes)


async def test_calls_of_one_batch_keep_theirs(
    store: SqlStore, principal: m.Principal, backend: Backend
) -> None:
    named = [f"actor {number}" if number % 3 else "" for number in range(60)]
    receipts = await asyncio.gather(
        *(
            store.memories.create(of(principal, actor), memory(actor or "nobody"), None)
            for actor in named
        )
    )
    made = {receipt.receipts[0].id: actor for receipt, actor in zip(receipts, named, strict=True)}

    assert {change.id: change.actor for change in await changes(store, principal)} == made
    page = await store.memories.list(principal, m.MemoryQuery(("a",)), m.PageRequest(100))
    assert {memory.id: memory.actor for memory in page.items} == made
    assert backend.check() == []


async def test_every_step_of_a_purge_names_it(store: SqlStore, principal: m.Principal) -> None:
    writes = [m.DocumentWrite("x", None, ("a",)) for _ in range(purges.STEP)]
    shared = m.DocumentWrite("x", "shared", ("a", "b"))
    await store.documents.batch_upsert(principal, [shared, *writes], None)
    await store.memories.create(principal, memory("x"), None)
    before = len(await changes(store, principal))

    await store.containers.delete(
        of(principal, "cleaner"), "a", None, validate_only=False, allow_missing=False, budget=None
    )

    made = (await changes(store, principal))[before:]
    assert len(made) == purges.STEP + 3
    assert {change.kind for change in made} == {
        m.ChangeKind.DOCUMENT_DELETED,
        m.ChangeKind.DOCUMENT_UPDATED,
        m.ChangeKind.MEMORY_DELETED,
        m.ChangeKind.CONTAINER_DELETED,
    }
    assert {change.actor for change in made} == {"cleaner"}


async def test_a_sweep_names_none(store: SqlStore, principal: m.Principal, clock: Clock) -> None:
    soon = m.NewMemory("x", forget_after=clock.time + 1_000_000)
    await store.memories.create(of(principal, "ann"), m.MemoryCreate("a", (soon,)), None)
    clock.advance(10)
    await store.sweep()
    assert [change.actor for change in await changes(store, principal)] == ["ann", ""]


async def test_no_etag_depends_on_it(store: SqlStore, principal: m.Principal) -> None:
    one, two = [
        await store.memories.create(of(principal, actor), memory("x"), None)
        for actor in ("ann", "")
    ]
    assert one.receipts[0].etag == two.receipts[0].etag
