"""The queue: turns, leases, and workers that die or lose what they hold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from palimpsest.v1 import documents_pb2 as d
from service.core.errors import PalimpsestError, Reason
from service.core.model import DocumentWrite, Principal, Status
from service.pipeline.worker import PipelineOptions
from service.ports.processing import Failed, Job, Processed
from service.storage.store import SqlStore
from tests.client import connected
from tests.finding.service_harness import ServiceHarness, indexing, running_harness
from tests.inprocess import ManualClock, SkewedClock
from tests.waiting import HANG_SECONDS, until

LEASE = 20.0
POLLING = indexing(pipeline=PipelineOptions(poll=0.02))


async def queued(store: SqlStore, tenant: str, containers: Sequence[str], count: int) -> int:
    """Queue so many documents in each container; the tenant's number."""
    number = await store.ensure_tenant(tenant)
    writes = [
        DocumentWrite(f"text {i}", f"{container} {i}", (container,))
        for container in containers
        for i in range(count)
    ]
    await store.documents.batch_upsert(Principal(number, "key"), writes, None)
    return number


@pytest.fixture
async def waiting(directory: Path, clock: ManualClock) -> object:
    """A service whose documents only the test takes."""
    async with running_harness(directory, clock, embedder="words:a", workers=0) as harness:
        yield harness


async def test_a_tenant_with_many_containers_holds_up_nobody(waiting: ServiceHarness) -> None:
    store = waiting.service.store
    await queued(store, "large", [f"c{i:03}" for i in range(120)], 20)
    small = await queued(store, "small", ["only"], 1)
    taken = await store.queue.claim("w", 64, LEASE)
    later = await store.queue.claim("w", 64, LEASE)
    assert small in {work.job.tenant for work in (*taken, *later)}
    assert len({(w.job.tenant, w.job.document_id) for w in (*taken, *later)}) > 100


async def test_a_container_with_many_documents_holds_up_no_other(waiting: ServiceHarness) -> None:
    store = waiting.service.store
    await queued(store, "large", ["aa"], 2000)
    await queued(store, "large", ["m", "zz"], 1)
    (row,) = waiting.rows("SELECT id FROM documents WHERE custom_id = 'zz 0'")
    taken = await store.queue.claim("w", 64, LEASE)
    assert row.id in {work.job.document_id for work in taken}
    assert len(taken) == 64


async def test_containers_whose_documents_pause_hold_up_no_other(waiting: ServiceHarness) -> None:
    store = waiting.service.store
    await queued(store, "large", [f"c{i:03}" for i in range(300)], 1)
    while await store.queue.claim("other", 64, LEASE):
        pass
    await queued(store, "large", ["c150"], 2)
    (only,) = await store.queue.claim("w", 64, LEASE)
    assert only.content == "text 1"


async def test_containers_with_few_documents_are_taken_together_and_in_turn(
    waiting: ServiceHarness,
) -> None:
    store = waiting.service.store
    names = [f"c{i:03}" for i in range(150)]
    await queued(store, "large", names, 1)
    claims = [await store.queue.claim("w", 64, LEASE) for _ in range(3)]
    assert [len(claim) for claim in claims] == [64, 64, 22]

    await queued(store, "large", names, 2)
    again = await store.queue.claim("w", 64, LEASE)
    rows = waiting.rows("SELECT id, custom_id FROM documents")
    container = {row.id: row.custom_id.split()[0] for row in rows}
    # Where the third claim ended, the next one goes on: from the first container.
    assert {container[work.job.document_id] for work in again} == {*names[:64]}


async def test_everything_is_taken_once_whatever_the_turns(waiting: ServiceHarness) -> None:
    store = waiting.service.store
    for tenant in range(7):
        await queued(store, f"t{tenant}", [f"c{i}" for i in range(tenant + 1)], 3 * tenant + 1)
    expected = sum((t + 1) * (3 * t + 1) for t in range(7))
    taken: list[str] = []
    while works := await store.queue.claim("w", 10, LEASE):
        assert len(works) <= 10
        taken.extend(work.job.document_id for work in works)
    assert len(taken) == len(set(taken)) == expected


async def test_a_dead_workers_document_is_finished_by_another_once(
    waiting: ServiceHarness, clock: ManualClock
) -> None:
    store = waiting.service.store
    receipt = await waiting.client.put("words", custom_id="a")
    (dead,) = await store.queue.claim("dead", 64, LEASE)
    assert await store.queue.claim("heir", 64, LEASE) == ()
    clock.advance(LEASE - 1)
    assert await store.queue.claim("heir", 64, LEASE) == ()
    # It lives after all, and holds on.
    await store.queue.renew([dead.job], LEASE)
    clock.advance(LEASE - 1)
    assert await store.queue.claim("heir", 64, LEASE) == ()
    clock.advance(2)
    (heir,) = await store.queue.claim("heir", 64, LEASE)
    assert (heir.job.document_id, heir.job.attempts) == (receipt.id, 2)

    # What the dead one still says does not matter.
    await store.queue.renew([dead.job], 100 * LEASE)
    await store.queue.enter([dead.job], Status.INDEXING)
    assert await waiting.status("a") == d.DOCUMENT_STATUS_EXTRACTING
    assert await store.queue.finish([Processed(dead.job, [], 0)]) == [False]
    assert not await store.queue.fail(Failed(dead.job, "no", None))
    await store.queue.release([dead.job])
    assert await waiting.status("a") == d.DOCUMENT_STATUS_EXTRACTING
    assert await store.queue.finish([Processed(heir.job, [], 0)]) == [True]
    assert await store.queue.finish([Processed(heir.job, [], 0)]) == [False]
    await store.queue.enter([heir.job], Status.INDEXING)
    assert await waiting.status("a") == d.DOCUMENT_STATUS_DONE
    assert waiting.changes(receipt.id) == ["document.created", "document.processed"]
    assert waiting.check() == []


@pytest.mark.parametrize("ahead", [-30, -5, 5, 30])
async def test_a_lease_is_judged_by_its_renewals_whatever_the_clocks_say(
    waiting: ServiceHarness, directory: Path, clock: ManualClock, ahead: int
) -> None:
    queue, skewed = waiting.service.store.queue, SkewedClock(clock, ahead)
    listen = f"unix:{directory / 'two'}"
    async with running_harness(
        directory, skewed, embedder="words:a", workers=0, listen=listen
    ) as second:
        other = second.service.store.queue
        await waiting.client.put("words", custom_id="a")
        (work,) = await other.claim("other", 64, LEASE)
        await other.release([work.job])
        (work,) = await queue.claim("alive", 64, LEASE)
        for _ in range(6):
            clock.advance(LEASE - 2)
            assert await other.claim("other", 64, LEASE) == ()
            await queue.renew([work.job], LEASE)
        clock.advance(LEASE - 2)
        assert await other.claim("other", 64, LEASE) == ()
        clock.advance(LEASE)
        (taken,) = await other.claim("other", 64, LEASE)
        assert taken.job.document_id == work.job.document_id
        assert await queue.finish([Processed(work.job, [], 0)]) == [False]
        assert await other.finish([Processed(taken.job, [], 0)]) == [True]
    assert waiting.check() == []


@pytest.mark.parametrize("day", [24 * 3600, -24 * 3600])
async def test_a_clock_that_was_wrong_holds_no_document_up(
    waiting: ServiceHarness, clock: ManualClock, day: int
) -> None:
    queue = waiting.service.store.queue
    held = await waiting.client.put("held", custom_id="a")
    await queue.claim("before", 64, LEASE)
    clock.jump(day)
    assert await queue.claim("w", 64, LEASE) == ()
    failed = await waiting.client.put("failed", custom_id="b")
    (work,) = await queue.claim("w", 64, LEASE)
    assert await queue.fail(Failed(work.job, "later", queue.now() + 1_000_000))
    dead = await waiting.client.put("dead", custom_id="c")
    assert len(await queue.claim("dead", 64, LEASE)) == 1
    fresh = await waiting.client.put("fresh", custom_id="d")
    clock.jump(-day)
    clock.advance(2)
    taken = {work.job.document_id for work in await queue.claim("w", 64, LEASE)}
    assert taken == {fresh.id, failed.id}
    clock.advance(LEASE)
    lost = {work.job.document_id for work in await queue.claim("w", 64, LEASE)}
    assert {held.id, dead.id} <= lost
    assert waiting.check() == []


async def test_after_a_pause_nobody_at_work_is_left_behind(waiting: ServiceHarness) -> None:
    store = waiting.service.store
    await waiting.client.put("words", custom_id="a")
    (work,) = await store.queue.claim("w", 64, LEASE)
    assert await store.queue.fail(Failed(work.job, "later", store.queue.now() + 1_000_000))
    await store.queue.enter([work.job], Status.EMBEDDING)
    assert await waiting.status("a") == d.DOCUMENT_STATUS_QUEUED
    assert waiting.check() == []


async def test_another_server_takes_over_what_a_stuck_one_holds(
    directory: Path, clock: ManualClock
) -> None:
    async with running_harness(
        directory, clock, embedder="words:a", workers=1, options=POLLING
    ) as first:
        first.stages.hold(Status.EMBEDDING)
        items = [d.UpsertDocumentRequest(content=f"words {i}", custom_id=f"{i}") for i in range(5)]
        await first.client.documents.BatchUpsertDocuments(
            d.BatchUpsertDocumentsRequest(items=items)
        )
        await first.stages.reached()
        async with running_harness(
            directory,
            clock,
            embedder="words:a",
            listen=f"unix:{directory / 'two'}",
            options=POLLING,
        ) as second:
            await second.client.put("words of its own", wait=True)
            assert len(second.stages.finished) == 1
            clock.advance(LEASE + 1)
            for i in range(5):
                document = await second.settled(f"{i}")
                assert document.status == d.DOCUMENT_STATUS_DONE
                assert second.changes(document.id) == ["document.created", "document.processed"]
            first.stages.let_go()
            await until(lambda: len(first.stages.finished) == 5)
            await second.idle()
        assert first.check() == []
        assert {held for _, held in first.stages.finished} == {False}
    async with running_harness(directory, clock, embedder="words:a") as again:
        for i in range(5):
            document = await again.client.get(f"{i}")
            assert again.changes(document.id).count("document.processed") == 1


async def test_a_database_that_is_away_costs_no_attempt(
    directory: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_harness(
        directory, clock, embedder="words:a", attempts=2, options=POLLING
    ) as harness:
        queue = harness.service.store.queue
        enter, release, away = queue.enter, queue.release, 6

        async def flaky_enter(held: Sequence[Job], status: Status) -> None:
            nonlocal away
            if away:
                away -= 1
                raise PalimpsestError(Reason.STORAGE_UNAVAILABLE, "away")
            await enter(held, status)

        async def flaky_release(held: Sequence[Job]) -> None:
            if away % 2:
                clock.advance(LEASE)  # Not given back: lost with its lease.
                raise PalimpsestError(Reason.STORAGE_UNAVAILABLE, "away")
            await release(held)

        queue.enter = flaky_enter  # type: ignore[method-assign]
        queue.release = flaky_release  # type: ignore[method-assign]
        with caplog.at_level(logging.CRITICAL):
            receipt = await harness.client.put("words", custom_id="a", wait=True)
        document = await harness.client.get("a")
        assert away == 0
        assert (receipt.status, document.error) == (d.DOCUMENT_STATUS_DONE, "")


async def test_a_fault_of_the_service_costs_one_document_no_more_than_its_tries(
    directory: Path, clock: ManualClock
) -> None:
    async with running_harness(
        directory, clock, embedder="words:a", attempts=1, options=POLLING
    ) as harness:

        async def broken(held: Sequence[Job], status: Status) -> None:
            raise RuntimeError("a bug")

        enter = harness.service.store.queue.enter
        harness.service.store.queue.enter = broken  # type: ignore[method-assign]
        await harness.client.put("words", custom_id="a", wait=True)
        document = await harness.client.get("a")
        assert (document.status, document.attempt_count) == (d.DOCUMENT_STATUS_FAILED, 1)
        assert "bug" not in document.error
        assert document.error
        harness.service.store.queue.enter = enter  # type: ignore[method-assign]
        repaired = await harness.client.put("words", custom_id="a", wait=True)
        assert repaired.status == d.DOCUMENT_STATUS_DONE


async def test_leases_are_renewed_after_a_fault_of_the_service(
    directory: Path, clock: ManualClock
) -> None:
    async with running_harness(directory, clock, embedder="words:a", lease=0.5) as harness:
        queue = harness.service.store.queue
        renew, faults, renewed = queue.renew, [RuntimeError("a bug")], asyncio.Event()

        async def flaky(held: Sequence[Job], lease: float) -> None:
            if faults:
                raise faults.pop()
            await renew(held, lease)
            renewed.set()

        queue.renew = flaky  # type: ignore[method-assign]
        harness.stages.hold(Status.CHUNKING)
        put = asyncio.create_task(harness.client.put("words", wait=True))
        await harness.stages.reached()
        await asyncio.wait_for(renewed.wait(), HANG_SECONDS)
        harness.stages.let_go()
        assert (await put).status == d.DOCUMENT_STATUS_DONE


async def test_what_failed_and_could_not_be_given_back_is_held_no_longer(
    directory: Path, clock: ManualClock
) -> None:
    async with running_harness(directory, clock, embedder="words:a", lease=0.5) as harness:
        queue = harness.service.store.queue
        finish, fail, renew = queue.finish, queue.fail, queue.renew
        reported, renewed, names = asyncio.Event(), asyncio.Event(), list[str]()

        async def broken(processed: object) -> Sequence[bool]:
            raise RuntimeError("a bug")

        async def broken_too(failed: object) -> bool:
            reported.set()
            raise RuntimeError("another bug")

        async def noted(held: Sequence[Job], lease: float) -> None:
            names.extend(job.document_id for job in held)
            await renew(held, lease)
            renewed.set()

        queue.finish, queue.fail = broken, broken_too  # type: ignore[method-assign]
        lost = await harness.client.put("words", custom_id="a")
        await asyncio.wait_for(reported.wait(), HANG_SECONDS)
        queue.finish, queue.fail = finish, fail  # type: ignore[method-assign]

        # While another is at work, leases are renewed, but not that one's.
        harness.stages.hold(Status.CHUNKING)
        other = await harness.client.put("words", custom_id="b")
        await harness.stages.reached()
        queue.renew = noted  # type: ignore[method-assign]
        await asyncio.wait_for(renewed.wait(), HANG_SECONDS)
        assert set(names) == {other.id}
        harness.stages.let_go()
        clock.advance(LEASE + 1)
        assert (await harness.settled(lost.id)).status == d.DOCUMENT_STATUS_DONE


async def test_one_tenants_load_does_not_hold_up_another(
    directory: Path, clock: ManualClock
) -> None:
    async with running_harness(directory, clock, embedder="words:a") as harness:
        harness.stages.hold(Status.EXTRACTING)
        items = [d.UpsertDocumentRequest(content=f"words {i}" * 20) for i in range(600)]
        for _ in range(4):
            await harness.client.documents.BatchUpsertDocuments(
                d.BatchUpsertDocumentsRequest(items=items)
            )
        key = harness.service.create_key(tenant="other")
        async with connected(harness.service.address, key) as other:
            put = asyncio.create_task(other.put("words", wait=True))
            harness.stages.let_go()
            assert (await asyncio.wait_for(put, HANG_SECONDS)).status == d.DOCUMENT_STATUS_DONE
            # Of the thousands before it only a few had their turn first.
            done = [name for name, held in harness.stages.finished if held]
            assert len(done) < 1000
