"""Batches: one failing harms no other, twins follow each other, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.runtime.coalescing import SHARED_BATCH, Coalescer, Pacing
from service.storage.documents import operations as documents
from service.storage.store import SqlStore
from service.storage.transactions import Mutation, Outcome, TenantTx
from tests.waiting import HANG_SECONDS


async def test_sixty_four_first_upserts_of_one_custom_id_make_one_document(
    store: SqlStore, principal: m.Principal
) -> None:
    receipts = await asyncio.gather(
        *(
            store.documents.upsert(principal, m.DocumentWrite(f"v{i}", "one"), None)
            for i in range(64)
        )
    )
    assert len({receipt.id for receipt in receipts}) == 1
    assert sum(receipt.created for receipt in receipts) == 1
    assert sorted(receipt.revision for receipt in receipts) == list(range(1, 65))
    last = max(receipts, key=lambda receipt: receipt.revision)
    assert (await store.documents.get(principal, "one")).etag == last.etag


async def test_of_sixty_four_updates_of_one_memory_one_wins(
    store: SqlStore, principal: m.Principal
) -> None:
    made = await store.memories.create(principal, m.MemoryCreate("a", (m.NewMemory("v1"),)), None)
    target = m.MemoryTarget("a", made.receipts[0].id)
    results = await asyncio.gather(
        *(
            store.memories.update(principal, m.MemoryUpdate(target, f"v{i}"), None)
            for i in range(64)
        ),
        return_exceptions=True,
    )
    won = [result for result in results if isinstance(result, m.UpdatedMemory)]
    lost = [result for result in results if isinstance(result, PalimpsestError)]
    assert len(won) == 1
    assert {error.reason for error in lost} == {Reason.MEMORY_NOT_LATEST}
    assert {error.metadata["latest_id"] for error in lost} == {won[0].receipt.id}
    assert len(lost) == 63


async def test_one_request_id_sixty_four_times_has_one_effect(
    store: SqlStore, principal: m.Principal
) -> None:
    request = m.IdempotencyKey("6f6ecd2c-5b0e-4e4f-8b43-3a3a0a5a1c11", b"same")
    create = m.MemoryCreate("a", (m.NewMemory("once"),))
    receipts = await asyncio.gather(
        *(store.memories.create(principal, create, request) for _ in range(64))
    )
    assert all(receipt == receipts[0] for receipt in receipts)
    page = await store.memories.list(principal, m.MemoryQuery(("a",)), m.PageRequest(10))
    assert len(page.items) == 1
    other = m.IdempotencyKey(request.request_id, b"other")
    with pytest.raises(PalimpsestError) as caught:
        await store.memories.create(principal, create, other)
    assert caught.value.reason is Reason.REQUEST_ID_REUSED


async def test_a_call_that_breaks_its_group_harms_no_other(
    store: SqlStore, principal: m.Principal
) -> None:
    def touchy(
        tx: TenantTx, mutations: Sequence[Mutation[m.DocumentWrite]]
    ) -> Sequence[Outcome[m.DocumentReceipt]]:
        outcomes = documents.upsert(tx, mutations)
        if any(mutation.payload.content == "poison" for mutation in mutations):
            raise RuntimeError("a fault in the middle of a group")
        return outcomes

    writes = [m.DocumentWrite("poison" if i == 3 else "fine", f"c{i}") for i in range(8)]
    results = await asyncio.gather(
        *(store.engine.mutate(touchy, Mutation(principal, write)) for write in writes),
        return_exceptions=True,
    )
    assert [isinstance(result, RuntimeError) for result in results] == [i == 3 for i in range(8)]
    page = await store.documents.list(principal, m.DocumentQuery(), m.PageRequest(50))
    assert {document.custom_id for document in page.items} == {f"c{i}" for i in range(8)} - {"c3"}
    revisions = sorted(document.revision for document in page.items)
    assert revisions == list(range(1, 8))


async def test_tenants_in_one_batch_keep_their_own_revisions(store: SqlStore) -> None:
    tenants = [await store.ensure_tenant(f"t{i}") for i in range(5)]
    receipts = await asyncio.gather(
        *(
            store.documents.upsert(m.Principal(tenant, "k"), m.DocumentWrite("x", "same"), None)
            for tenant in tenants
        )
    )
    assert len({receipt.id for receipt in receipts}) == 5
    assert [receipt.revision for receipt in receipts] == [1] * 5


async def echo(items: Sequence[int]) -> Sequence[int]:
    return items


async def test_waiting_work_is_bounded_and_refused_with_a_time_to_come_back() -> None:
    release = asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        return items

    coalescer: Coalescer[int, int] = Coalescer(run, max_waiting=3)
    running = [asyncio.create_task(coalescer.submit(i)) for i in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = asyncio.create_task(coalescer.submit(3, weight=3))
    await asyncio.sleep(0)
    with pytest.raises(PalimpsestError) as caught:
        await coalescer.submit(4)
    assert caught.value.reason is Reason.OVERLOADED
    assert caught.value.retry_after
    release.set()
    assert await asyncio.gather(*running, waiting) == [0, 1, 2, 3]


async def test_one_heavy_call_that_waits_does_not_shut_out_light_ones() -> None:
    release = asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        return items

    coalescer: Coalescer[int, int] = Coalescer(run, max_waiting=10, max_batch=4)
    running = asyncio.create_task(coalescer.submit(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(coalescer.submit(1, weight=1000))]
    waiting += [asyncio.create_task(coalescer.submit(i)) for i in (2, 3)]
    await asyncio.sleep(0)
    release.set()
    assert await asyncio.gather(running, *waiting) == [0, 1, 2, 3]


async def batches_of(arrivals: Sequence[tuple[str, int]]) -> list[list[str]]:
    """The groups of each batch, of (group, weight)s that arrive while the first one runs."""
    release = asyncio.Event()
    batches: list[list[str]] = []

    async def run(items: Sequence[str]) -> Sequence[str]:
        batches.append(list(items))
        await release.wait()
        return items

    coalescer: Coalescer[str, str] = Coalescer(run, max_waiting=10_000)
    group, weight = arrivals[0]
    first = asyncio.create_task(coalescer.submit(group, weight, group))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(coalescer.submit(g, w, g)) for g, w in arrivals[1:]]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(first, *rest)
    return batches[1:]


async def test_one_group_alone_has_large_batches() -> None:
    assert await batches_of([("a", 1)] * 1001) == [["a"] * 1000]


async def test_several_groups_take_turns_in_small_batches() -> None:
    batches = await batches_of([("a", 1)] * 501 + [("b", 1)])
    assert "b" in batches[0]
    assert all(len(batch) <= SHARED_BATCH for batch in batches)
    assert sum(map(len, batches)) == 501


async def test_what_is_light_goes_along_with_what_is_heavy() -> None:
    heavy = SHARED_BATCH
    batches = await batches_of([("a", heavy)] * 4 + [("b", 1)])
    assert batches[0] in (["a", "b"], ["b"])
    assert [batch.count("a") for batch in batches if "a" in batch] == [1, 1, 1]


async def test_the_backlog_of_one_group_refuses_no_other() -> None:
    release = asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        return items

    coalescer: Coalescer[int, int] = Coalescer(run, max_waiting=100)
    tasks = [asyncio.create_task(coalescer.submit(0, 1, "a")) for _ in range(300)]
    tasks += [asyncio.create_task(coalescer.submit(1, 1, "b")) for _ in range(10)]
    for group in range(20):
        tasks += [asyncio.create_task(coalescer.submit(2, 1, group)) for _ in range(90)]
    tasks += [asyncio.create_task(coalescer.submit(3, 1, "small"))]
    await asyncio.sleep(0)
    release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, PalimpsestError) for result in results[:300]) == 200
    assert results[300:310] == [1] * 10
    # All of them together are bounded, too, and the last share is for those who have little.
    assert any(isinstance(result, PalimpsestError) for result in results[310:-1])
    assert results[-1] == 3


async def test_those_just_answered_come_again_in_one_batch() -> None:
    batches: list[int] = []

    async def run(items: Sequence[int]) -> Sequence[int]:
        batches.append(len(items))
        return items

    pacing = Pacing(per_call=0.1, pause=0.2, gather=60)
    coalescer: Coalescer[int, int] = Coalescer(run, max_waiting=10, pacing=pacing)

    async def caller(turns: int) -> None:
        for _ in range(2):
            await coalescer.submit(turns)
            for _ in range(turns):
                await asyncio.sleep(0)

    await asyncio.gather(*(caller(turns) for turns in range(0, 40, 10)))
    assert batches == [4, 4]


async def test_who_comes_alone_never_waits_for_others() -> None:
    pacing = Pacing(per_call=600, pause=600, gather=600)
    coalescer: Coalescer[int, int] = Coalescer(echo, max_waiting=10, pacing=pacing)
    async with asyncio.timeout(HANG_SECONDS):
        assert [await coalescer.submit(i) for i in range(3)] == [0, 1, 2]


async def test_a_stream_of_arrivals_does_not_put_a_batch_off() -> None:
    coalescer: Coalescer[int, int] = Coalescer(
        echo,
        max_waiting=1_000_000,
        max_batch=1_000_000,
        pacing=Pacing(per_call=0.01, pause=0.01),
    )
    await asyncio.gather(*(coalescer.submit(i) for i in range(2)))
    first = asyncio.create_task(coalescer.submit(2))
    others = []
    async with asyncio.timeout(HANG_SECONDS):
        while not first.done():
            others.append(asyncio.create_task(coalescer.submit(3)))
            await asyncio.sleep(0.001)
    assert await asyncio.gather(first, *others) == [2] + [3] * len(others)


async def test_a_cancelled_waiter_is_dropped_and_the_others_go_on() -> None:
    ran: list[int] = []
    release = asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        ran.extend(items)
        return items

    coalescer: Coalescer[int, int] = Coalescer(run, max_waiting=10)
    tasks = [asyncio.create_task(coalescer.submit(i)) for i in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late = [asyncio.create_task(coalescer.submit(i)) for i in (2, 3)]
    await asyncio.sleep(0)
    late[0].cancel()
    release.set()
    assert await asyncio.gather(*tasks, late[1]) == [0, 1, 3]
    assert ran == [0, 1, 3]


async def test_after_closing_calls_are_refused_and_taken_ones_finish(
    store: SqlStore, principal: m.Principal
) -> None:
    taken = [
        asyncio.create_task(store.documents.upsert(principal, m.DocumentWrite("x", f"c{i}"), None))
        for i in range(5)
    ]
    await asyncio.sleep(0)
    await store.engine.close()
    assert all(receipt.created for receipt in await asyncio.gather(*taken))
    with pytest.raises(PalimpsestError) as caught:
        await store.documents.upsert(principal, m.DocumentWrite("x", "late"), None)
    assert caught.value.reason is Reason.SHUTTING_DOWN
