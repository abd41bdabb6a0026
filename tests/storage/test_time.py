"""Versions in time: expiry without a sweeper, as-of reads, clocks that go back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from service.core import filters as f
from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.core.times import WallClock
from service.storage.store import SqlStore
from tests.backends.base import Backend
from tests.storage.conftest import Clock

ALL = m.PageRequest(100)
HOUR = 3600 * 1_000_000


async def _shown(store: SqlStore, principal: m.Principal, as_of: int | None = None) -> list[str]:
    page = await store.memories.list(
        principal, m.MemoryQuery(("a",), order=m.Order.CREATED_ASC, as_of=as_of), ALL
    )
    return [memory.content for memory in page.items]


async def _one(store: SqlStore, principal: m.Principal, new: m.NewMemory) -> m.MemoryReceipt:
    made = await store.memories.create(principal, m.MemoryCreate("a", (new,)), None)
    return made.receipts[0]


async def test_an_expiry_is_true_before_the_sweeper_and_the_same_after(
    backend: Backend, store: SqlStore, principal: m.Principal, clock: Clock
) -> None:
    soon = store.now() + 5_000_000
    receipt = await _one(
        store, principal, m.NewMemory("brief", forget_after=soon, forget_reason="trip")
    )
    assert await _shown(store, principal) == ["brief"]
    clock.advance(5)
    assert await _shown(store, principal) == []
    unswept = await store.memories.get(principal, "a", receipt.id, None)
    containers = await store.containers.list(principal, "", ALL)
    assert [container.memories for container in containers.items] == [0]
    assert (unswept.forgotten, unswept.forget_reason, unswept.forget_time) == (True, "trip", soon)
    with pytest.raises(PalimpsestError) as caught:
        await store.memories.forget(
            principal, m.MemoryForget(m.MemoryTarget("a", receipt.id)), None
        )
    assert caught.value.reason is Reason.MEMORY_FORGOTTEN
    assert await store.sweep() == 1
    assert await store.sweep() == 0
    assert await store.memories.get(principal, "a", receipt.id, None) == unswept
    containers = await store.containers.list(principal, "", ALL)
    assert [container.memories for container in containers.items] == [0]
    assert backend.check() == []


async def test_the_past_answers_as_it_did_then(
    backend: Backend, store: SqlStore, principal: m.Principal, clock: Clock
) -> None:
    moments: list[tuple[int, list[str]]] = []

    async def note() -> None:
        moments.append((store.now(), await _shown(store, principal)))
        clock.advance(1)

    first = await _one(store, principal, m.NewMemory("v1"))
    await note()
    second = await store.memories.update(
        principal, m.MemoryUpdate(m.MemoryTarget("a", first.id), "v2"), None
    )
    await note()
    target = m.MemoryTarget("a", second.receipt.id)
    await store.memories.forget(principal, m.MemoryForget(target, "why"), None)
    await note()
    again = store.now() + 3_000_000
    await store.memories.restore(
        principal, m.MemoryRestore("a", second.receipt.id, forget_after=again), None
    )
    await note()
    clock.advance(5)
    await note()
    await store.sweep()
    await store.memories.restore(principal, m.MemoryRestore("a", second.receipt.id), None)
    await note()
    assert [shown for _, shown in moments] == [["v1"], ["v2"], [], ["v2"], [], ["v2"]]
    for instant, shown in moments:
        assert await _shown(store, principal, instant) == shown
    forgotten = await store.memories.get(principal, "a", second.receipt.id, moments[2][0])
    assert (forgotten.forgotten, forgotten.forget_reason) == (True, "why")
    scheduled = await store.memories.get(principal, "a", second.receipt.id, moments[3][0])
    assert (scheduled.forgotten, scheduled.forget_after) == (False, again)
    with pytest.raises(PalimpsestError):
        await store.memories.get(principal, "a", second.receipt.id, moments[0][0])
    earlier = await store.memories.get(principal, "a", first.id, moments[0][0])
    assert (earlier.is_latest, earlier.etag) == (True, first.etag)
    assert backend.check() == []


async def test_a_clock_set_back_takes_nothing_back(
    backend: Backend, store: SqlStore, principal: m.Principal, clock: Clock
) -> None:
    soon = store.now() + 1_000_000
    await _one(store, principal, m.NewMemory("brief", forget_after=soon))
    clock.advance(2)
    before = await _one(store, principal, m.NewMemory("before"))
    clock.advance(-3600)
    after = await _one(store, principal, m.NewMemory("after"))
    # By this clock the first one is not due yet.
    assert await _shown(store, principal) == ["brief", "before", "after"]
    assert after.create_time > before.create_time
    assert await _shown(store, principal, before.create_time) == ["before"]
    await store.close()
    reopened = await backend.open(WallClock(clock))
    last = await _one(reopened, principal, m.NewMemory("last"))
    assert last.create_time > after.create_time
    clock.advance(3600)
    assert await _shown(reopened, principal) == ["before", "after", "last"]
    await reopened.close()


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_clock_that_was_ahead_leaves_nothing_hidden_or_refused(
    backend: Backend, store: SqlStore, principal: m.Principal, clock: Clock, *, restarted: bool
) -> None:
    """A day ahead, and set right a minute later."""
    tomorrow = store.now() + 20 * HOUR
    due = [
        m.NewMemory(f"due {n}", {"n": float(n)}, forget_after=tomorrow, forget_reason="trip")
        for n in range(6)
    ]
    made = await store.memories.create(principal, m.MemoryCreate("a", tuple(due)), None)
    names = [receipt.id for receipt in made.receipts]
    clock.advance(24 * 3600)
    assert await _shown(store, principal) == []
    assert await store.sweep() == 6
    during = await _one(store, principal, m.NewMemory("during", forget_after=store.now() + HOUR))
    clock.advance(60 - 24 * 3600)
    if restarted:
        await store.close()
        store = await backend.open(WallClock(clock))

    async def count() -> list[int]:
        return [one.memories for one in (await store.containers.list(principal, "", ALL)).items]

    assert await _shown(store, principal) == [*(new.content for new in due), "during"]
    assert await count() == [7]
    assert not (await store.memories.get(principal, "a", names[0], None)).forgotten
    assert (await store.memories.get(principal, "a", during.id, None)).content == "during"
    with pytest.raises(PalimpsestError) as caught:
        await store.memories.restore(principal, m.MemoryRestore("a", names[0]), None)
    assert caught.value.reason is Reason.MEMORY_NOT_FORGOTTEN

    # Everything can be done with what the wrong clock took for expired.
    ahead = store.now() + HOUR
    target = m.MemoryTarget("a", content="due 0")
    again = await store.memories.update(principal, m.MemoryUpdate(target, "new 0"), None)
    assert again.receipt.forget_after == tomorrow
    await store.memories.forget(principal, m.MemoryForget(m.MemoryTarget("a", names[1])), None)
    restored = await store.memories.restore(
        principal, m.MemoryRestore("a", names[1], forget_after=ahead), None
    )
    assert not restored.forgotten
    matched = f.Condition("n", f.EqualsNumber(2.0))
    found = await store.memories.forget_many(
        principal, m.MemoryForgetMany("a", filter=matched), None, validate_only=False
    )
    assert found.ids == (names[2],)
    await store.memories.delete(principal, m.MemoryDelete("a", names[3]), None)
    soon = await _one(store, principal, m.NewMemory("soon", forget_after=ahead))
    contents = ["new 0", "due 1", "due 4", "due 5", "during", "soon"]
    assert await _shown(store, principal) == contents
    assert await count() == [6]
    assert soon.create_time > during.create_time
    assert backend.check() == []

    # What was scheduled comes when it is time, once.
    clock.advance(3600)
    assert await _shown(store, principal) == ["new 0", "due 4", "due 5", "during"]
    assert await store.sweep() == 2
    clock.advance(19 * 3600)
    assert await _shown(store, principal) == ["during"]
    assert await store.sweep() == 1
    assert await count() == [1]
    assert backend.check() == []
    clock.advance(6 * 3600)
    assert await _shown(store, principal) == []
    if restarted:
        await store.close()


async def test_the_past_is_judged_by_the_clock_alone(
    store: SqlStore, principal: m.Principal, clock: Clock
) -> None:
    clock.advance(24 * 3600)
    await _one(store, principal, m.NewMemory("during"))
    await store.memories.close_past(principal, store.now())
    clock.advance(-24 * 3600)
    await store.memories.close_past(principal, store.now())
    with pytest.raises(PalimpsestError) as caught:
        await store.memories.close_past(principal, store.now() + 1_000_000)
    assert caught.value.reason is Reason.TIME_IN_FUTURE


async def test_a_past_that_was_read_stays_as_it_was_read(
    backend: Backend, store: SqlStore, principal: m.Principal, clock: Clock
) -> None:
    """Even if another server's clock is behind the one that was read by."""
    behind = await backend.open(WallClock(lambda: clock() - 30_000_000))
    try:
        await _one(store, principal, m.NewMemory("first"))
        clock.advance(60)
        asked = store.now()
        await store.memories.close_past(principal, asked)
        assert await _shown(store, principal, asked) == ["first"]
        late = await _one(behind, principal, m.NewMemory("late"))
        assert late.create_time > asked
        for server in (store, behind):
            assert await _shown(server, principal, asked) == ["first"]
            assert await _shown(server, principal) == ["first", "late"]
    finally:
        await behind.close()


async def test_closing_the_past_writes_only_where_something_could_still_come(
    store: SqlStore, principal: m.Principal, clock: Clock
) -> None:
    made = await _one(store, principal, m.NewMemory("first"))
    clock.advance(60)
    writes: list[int] = []
    write = store.engine.database.write

    async def counted(work: Any, *arguments: Any, **options: Any) -> Any:
        writes.append(1)
        return await write(work, *arguments, **options)

    store.engine.database.write = counted  # type: ignore[method-assign]
    await store.memories.close_past(principal, made.create_time)
    assert writes == []
    asked = store.now()
    for _ in range(3):
        await store.memories.close_past(principal, asked)
    assert writes == [1]
    revision = (await store.memories.list(principal, m.MemoryQuery(("a",)), ALL)).revision
    assert revision == made.revision


async def test_receipts_are_kept_by_the_clock(
    store: SqlStore, principal: m.Principal, clock: Clock
) -> None:
    """Those written while it was ahead, too: not a day longer than the others."""
    clock.advance(24 * 3600)
    await _one(store, principal, m.NewMemory("during"))
    clock.advance(-24 * 3600)
    request = m.IdempotencyKey(str(uuid.uuid4()), b"fingerprint")
    new = m.MemoryCreate("a", (m.NewMemory("after"),))
    first = await store.memories.create(principal, new, request)
    clock.advance(47 * 3600)
    await store.sweep()
    assert await store.memories.create(principal, new, request) == first
    clock.advance(2 * 3600)
    await store.sweep()
    assert await store.memories.create(principal, new, request) != first


async def test_a_listing_by_creation_is_complete_and_free_of_repeats_while_memories_change(
    store: SqlStore, principal: m.Principal
) -> None:
    made = await store.memories.create(
        principal, m.MemoryCreate("a", tuple(m.NewMemory(f"m{i}") for i in range(30))), None
    )
    query = m.MemoryQuery(("a",), order=m.Order.CREATED_ASC)
    roots: list[str] = []
    after: m.Position | None = None
    for step in range(100):
        page = await store.memories.list(principal, query, m.PageRequest(4, after))
        roots.extend(memory.root_id for memory in page.items)
        target = m.MemoryTarget("a", content=f"m{step}")
        await store.memories.update(principal, m.MemoryUpdate(target, f"new {step}"), None)
        after = page.next
        if after is None:
            break
    assert roots == [receipt.id for receipt in made.receipts]


async def test_restoring_clears_a_schedule_that_has_passed_and_keeps_one_ahead(
    store: SqlStore, principal: m.Principal, clock: Clock
) -> None:
    passed, ahead = store.now() + 1_000_000, store.now() + 9_000_000_000
    one = await _one(store, principal, m.NewMemory("one", forget_after=passed, forget_reason="r"))
    two = await _one(store, principal, m.NewMemory("two", forget_after=ahead, forget_reason="r"))
    await store.memories.forget(principal, m.MemoryForget(m.MemoryTarget("a", two.id)), None)
    clock.advance(2)
    for receipt, left in ((one, None), (two, ahead)):
        await store.memories.restore(principal, m.MemoryRestore("a", receipt.id), None)
        memory = await store.memories.get(principal, "a", receipt.id, None)
        assert (memory.forgotten, memory.forget_after) == (False, left)
        assert memory.forget_reason == ("r" if left else "")
    with pytest.raises(PalimpsestError) as caught:
        await store.memories.restore(principal, m.MemoryRestore("a", one.id), None)
    assert caught.value.reason is Reason.MEMORY_NOT_FORGOTTEN
