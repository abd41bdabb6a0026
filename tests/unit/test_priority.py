"""Background work waits while foreground requests run, for a moment only."""

from __future__ import annotations

import asyncio

import pytest

from service.runtime.priority import CALLED_SECONDS, QUIET_SECONDS, ForegroundPriority
from tests.waiting import HANG_SECONDS

LONG = 2 * HANG_SECONDS


async def test_work_goes_on_at_once_when_no_request_runs() -> None:
    async with asyncio.timeout(HANG_SECONDS):
        await ForegroundPriority(max_yield_seconds=LONG).yield_to_foreground()


async def test_work_goes_on_when_the_last_request_is_done() -> None:
    priority = ForegroundPriority(max_yield_seconds=LONG)
    with priority.foreground():
        with priority.foreground():
            work = asyncio.ensure_future(priority.yield_to_foreground())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not work.done()
    async with asyncio.timeout(HANG_SECONDS):
        await work


async def test_work_is_slowed_down_but_never_stopped() -> None:
    priority = ForegroundPriority(max_yield_seconds=0.001)
    async with asyncio.timeout(HANG_SECONDS):
        with priority.foreground():
            await priority.yield_to_foreground()
            await priority.yield_to_foreground()


async def test_a_request_that_fails_does_not_hold_work_back() -> None:
    priority = ForegroundPriority(max_yield_seconds=LONG)
    with pytest.raises(ValueError, match="failed"), priority.foreground():
        raise ValueError("failed")
    async with asyncio.timeout(HANG_SECONDS):
        await priority.yield_to_foreground()


async def test_the_work_of_a_tenant_goes_on_when_others_have_stopped_to_call() -> None:
    now = 100.0
    priority = ForegroundPriority(max_yield_to_others_seconds=LONG, clock=lambda: now)
    priority.calls.note(1, 1)
    async with asyncio.timeout(HANG_SECONDS):
        await priority.yield_to_others(1)
        work = asyncio.ensure_future(priority.yield_to_others(2))
        await asyncio.sleep(2 * CALLED_SECONDS)
        assert not work.done()
        now += 3 * CALLED_SECONDS
        await work


async def test_the_work_of_a_tenant_is_slowed_down_by_others_but_never_stopped() -> None:
    priority = ForegroundPriority(max_yield_to_others_seconds=0.001)
    async with asyncio.timeout(HANG_SECONDS):
        for _ in range(2):
            priority.calls.note(1, 1)
            await priority.yield_to_others(2)


def test_it_is_busy_while_requests_run_and_for_a_while_after() -> None:
    now = 100.0
    priority = ForegroundPriority(clock=lambda: now)

    def busy() -> bool:
        return priority.busy

    assert not busy()
    with priority.foreground():
        now += 1000
        assert busy()
    now += QUIET_SECONDS / 2
    assert busy()
    now += QUIET_SECONDS
    assert not busy()
