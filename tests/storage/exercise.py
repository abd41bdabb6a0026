"""One of every operation of the storage, for what judges the statements that they issue."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from functools import partial
from typing import Any

from service.core import filters as f
from service.core import model as m
from service.ports.indexing import BlockCursor, DeltaCursor
from service.ports.search import HydrationRequest
from service.ports.store import Page
from service.storage import change_log
from service.storage.store import SqlStore
from tests.storage.conftest import Clock

FILTER = f.AllOf(
    (
        f.Not(f.Match("deleted", "true")),
        f.AnyOf(
            (
                f.Condition("n", f.CompareNumber(f.Op.GE, 1)),
                f.Condition("s", f.Contains("a", True)),
                f.Condition("l", f.ListContains("x")),
                f.Condition(f.Field.CREATED, f.CompareInstant(f.Op.GT, 0)),
            )
        ),
    )
)


ONE = m.PageNumber(1, 1, 1_000_000)
TWO = m.PageNumber(2, 1, 1_000_000)


def following(page: Page[Any]) -> m.PageRequest:
    return m.PageRequest(1, page.next, page.revision, began=page.began)


async def exercise(store: SqlStore, principal: m.Principal, clock: Clock) -> None:
    """Do all of it, in an empty tenant."""
    await _documents(store, principal)
    await _memories(store, principal, clock)


async def _documents(store: SqlStore, principal: m.Principal) -> None:
    request = m.IdempotencyKey("0" * 36, b"fingerprint")
    await asyncio.gather(
        *(
            store.documents.upsert(
                principal, m.DocumentWrite("text", f"c{i}", ("a", "b")[: 1 + i % 2]), None
            )
            for i in range(8)
        )
    )
    await store.documents.batch_upsert(
        principal,
        [m.DocumentWrite("new text", f"c{i}", metadata={"n": 1.0}) for i in range(4)],
        request,
    )
    await store.documents.update(principal, m.DocumentPatch("c1", containers=("a", "c")), None)
    await store.documents.get(principal, "c1")
    for after in (None, (3,)):
        await store.documents.chunks(principal, "c1", m.PageRequest(1, after))
    for order, containers, all_of, content in itertools.product(
        m.Order, ((), ("a",), ("a", "b")), (False, True), (False, True)
    ):
        query = m.DocumentQuery(containers, all_of, FILTER, (m.Status.QUEUED,), "c", order, content)
        page = await store.documents.list(principal, query, m.PageRequest(1))
        await store.documents.list(principal, query, following(page))
        await store.documents.numbered(principal, query, ONE)
        await store.documents.numbered(
            principal, m.DocumentQuery(containers, all_of, order=order), TWO
        )
    for order, tags in itertools.product(m.Order, ((), ("a",))):
        query = m.DocumentQuery(tags, filter=LONG, order=order)
        await store.documents.list(principal, query, m.PageRequest(1))
    limited = m.Principal(principal.tenant, "limited", frozenset({"a", "b"}))
    await store.documents.list(limited, m.DocumentQuery(), m.PageRequest(2))
    await store.documents.get(limited, "c3")
    await store.documents.get(limited, "c3", "a")
    await store.documents.update(
        principal, m.DocumentPatch("c3", containers=("b", "c"), home="a"), None
    )
    for preview in (True, False):
        await store.documents.delete_ids(principal, ["c2", "nope"], None, validate_only=preview)
        await store.containers.delete_documents(
            principal, ["b", "c"], request if preview else None, validate_only=preview, budget=None
        )
    await store.documents.delete(principal, m.DocumentDelete("c0"), None)


LONG = f.AllOf(tuple(f.Condition(f"k{i}", f.Exists()) for i in range(200)))
"""So many conditions that a planner could expect next to no rows."""


async def _memories(store: SqlStore, principal: m.Principal, clock: Clock) -> None:
    source = await store.documents.upsert(principal, m.DocumentWrite("source", "src"), None)
    soon = store.now() + 1_000_000
    made = await store.memories.create(
        principal,
        m.MemoryCreate(
            "a",
            (
                m.NewMemory("one", source_document_id=source.id),
                m.NewMemory("two", forget_after=soon, forget_reason="trip"),
                m.NewMemory("three", {"n": 2.0}),
                m.NewMemory("four", {"n": 3.0}),
            ),
        ),
        None,
    )
    first, second, third, _ = made.receipts
    updated = await store.memories.update(
        principal, m.MemoryUpdate(m.MemoryTarget("a", content="one"), "uno"), None
    )
    target = m.MemoryTarget("a", updated.receipt.id)
    await store.memories.forget(principal, m.MemoryForget(target, "why"), None)
    await store.memories.restore(principal, m.MemoryRestore("a", updated.receipt.id), None)
    clock.advance(2)
    await store.containers.list(principal, "a", m.PageRequest(10))
    await store.containers.list(principal, "", m.PageRequest(1))
    assert await store.sweep() == 1
    await store.memories.restore(principal, m.MemoryRestore("a", second.id), None)
    forgotten = await store.memories.forget_many(
        principal, m.MemoryForgetMany("a", filter=FILTER), None, validate_only=False
    )
    await store.memories.restore_many(
        principal, m.MemoryRestoreMany("a", forgotten.forget_batch_id), None
    )
    await store.memories.forget_many(
        principal, m.MemoryForgetMany("a", ids=(third.id,)), None, validate_only=True
    )
    for order, tags, past, extra in itertools.product(
        m.Order, (("a",), ("a", "b")), (None, first.update_time), (False, True)
    ):
        query = m.MemoryQuery(tags, FILTER, extra, extra, order, past)
        page = await store.memories.list(principal, query, m.PageRequest(1))
        await store.memories.list(principal, query, following(page))
        await store.memories.numbered(principal, query, ONE)
        plain = m.MemoryQuery(tags, None, extra, extra, order, past)
        await store.memories.numbered(principal, plain, TWO)
        sourced = replace(plain, source_document_id=source.id)
        await store.memories.list(principal, sourced, m.PageRequest(1))
        await store.memories.numbered(principal, sourced, ONE)
    for order in m.Order:
        await store.memories.list(
            principal, m.MemoryQuery(("a",), LONG, order=order), m.PageRequest(1)
        )
    for space, without in itertools.product((None, 1), ((), ("b", "c"))):
        await store.index.block(principal.tenant, "a", BlockCursor(), space, without=without)
    delta = DeltaCursor((first.id, second.id), (source.id,))
    await store.index.more(principal.tenant, "a", delta, 1)
    await store.index.delta(principal.tenant, "a", 0, 1)
    for past, names in itertools.product((None, first.update_time), (None, [first.id])):
        await store.index.in_state(
            principal.tenant, "a", past, store.now(), forgotten=True, history=True, memories=names
        )
    page = await store.memories.versions(principal, "a", first.id, m.PageRequest(1))
    await store.memories.versions(principal, "a", first.id, following(page))
    await _early_expiry(store, principal, clock)
    await store.memories.close_past(principal, store.now())
    await store.documents.delete(principal, m.DocumentDelete("src"), None)
    await store.memories.delete(principal, m.MemoryDelete("a", first.id), None)
    for preview in (True, False):
        await store.containers.delete(
            principal, "a", None, validate_only=preview, allow_missing=False, budget=None
        )
    clock.advance(90 * 24 * 3600)
    await store.sweep()
    limited = m.Principal(principal.tenant, "limited", frozenset(map(str, range(150))))
    for reader, tags in ((principal, ()), (principal, ("a", "b")), (limited, ())):
        await store.changes.list(reader, m.ChangeQuery(1, tags, size=1))
    index = await store.index.block(principal.tenant, "a", BlockCursor(), 0)
    await store.index.delta(principal.tenant, "a", index.revision - 1, 0)
    await store.index.unchanged(principal.tenant, {"a": index.revision})
    for neighbors in (0, 1):
        found = HydrationRequest(chunks=[(source.id, 0, "a"), ("b", 2, "b")], neighbors=neighbors)
        await store.index.hydrate(principal, found)
    await store.reindexing.stale(1, 2, 10)
    await store.reindexing.remaining(1, 2)
    for elsewhere in (False, True):
        await store.reindexing.outdated(1, 2, 10, elsewhere=elsewhere)
    database, before = store.engine.database, store.now()
    for tenant in await database.read(lambda conn: change_log.outdated(conn, before)):
        await database.write(partial(change_log.trim, tenant=tenant, before=before))


async def _early_expiry(store: SqlStore, principal: m.Principal, clock: Clock) -> None:
    """A clock that was ahead has recorded an expiry."""
    later = m.NewMemory("later", {"n": 2.0}, forget_after=store.now() + 60_000_000)
    await store.memories.create(principal, m.MemoryCreate("a", (later,)), None)
    clock.advance(120)
    assert await store.sweep() == 1
    clock.advance(-120)
    for order, tags in itertools.product(m.Order, (("a",), ("a", "b"))):
        query = m.MemoryQuery(tags, FILTER, order=order)
        page = await store.memories.list(principal, query, m.PageRequest(1))
        await store.memories.list(principal, query, m.PageRequest(1, page.next, page.revision))
    await store.containers.list(principal, "a", m.PageRequest(10))
    chosen = m.MemoryForgetMany("a", filter=FILTER)
    await store.memories.forget_many(principal, chosen, None, validate_only=False)


async def fill(store: SqlStore, principal: m.Principal) -> None:
    """Documents in two containers, and memories of every state."""
    await store.documents.batch_upsert(
        principal, [m.DocumentWrite(f"text {i}", f"c{i}", ("a", "b")) for i in range(5)], None
    )
    made = await store.memories.create(
        principal,
        m.MemoryCreate("a", tuple(m.NewMemory(f"m{i}", source_document_id="c1") for i in range(4))),
        None,
    )
    first, second, third, _ = made.receipts
    await store.memories.update(
        principal, m.MemoryUpdate(m.MemoryTarget("a", first.id), "m0 again"), None
    )
    for receipt in (second, third):
        await store.memories.forget(
            principal, m.MemoryForget(m.MemoryTarget("a", receipt.id)), None
        )
    await store.memories.restore(principal, m.MemoryRestore("a", second.id), None)
