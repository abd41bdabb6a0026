"""Turns of tenants: how many calls of one are worked on at once next to others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.runtime.fairness import SHARED_SECONDS
from service.runtime.priority import CALLED_SECONDS
from service.runtime.tenant_turns import AT_ONCE, MAX_REST_SECONDS, TenantTurns
from tests.unit.seconds_clock import SecondsClock
from tests.waiting import HANG_SECONDS

OTHER = 1
MANY = 2
CALLS = 2 * AT_ONCE


@asynccontextmanager
async def calling(turns: TenantTurns, begun: list[int]) -> AsyncIterator[None]:
    """The tenant MANY has more calls than it may have in work; `begun` has those that began."""

    async def call(number: int) -> None:
        await turns.begin(MANY, number)
        begun.append(number)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(CALLS):
            group.create_task(call(number))
        await settled()
        yield
        for number in range(CALLS):
            await settled()
            turns.end(MANY, number)
    assert begun == list(range(CALLS))


async def settled() -> None:
    """Returns when all that is ready has run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def with_a_call_next_to_another(clock: SecondsClock) -> TenantTurns:
    """The tenant MANY has its "first" call in work, and OTHER makes a call at a time."""
    turns = TenantTurns(now=clock)
    await turns.begin(OTHER, "one")
    turns.end(OTHER, "one")
    await turns.begin(MANY, "first")
    return turns


async def end_after_another(turns: TenantTurns, clock: SecondsClock) -> None:
    """The "first" call ends when it has taken a while and OTHER has made its next."""
    clock.now += MAX_REST_SECONDS
    await turns.begin(OTHER, "two")
    turns.end(MANY, "first")


async def test_a_tenant_alone_is_not_held_back() -> None:
    turns = TenantTurns(now=SecondsClock())
    async with asyncio.timeout(30):
        for call in range(20 * AT_ONCE):
            await turns.begin(MANY, call)


async def test_beside_one_that_makes_a_call_at_a_time_a_tenant_has_one_in_work() -> None:
    turns = TenantTurns(now=SecondsClock())
    await turns.begin(OTHER, "one")
    turns.end(OTHER, "one")
    begun: list[int] = []
    async with calling(turns, begun):
        assert begun == [0]
        await turns.begin(OTHER, "two")
        turns.end(MANY, 0)
        await settled()
        assert begun == [0, 1]


async def test_beside_one_that_makes_a_call_at_a_time_a_tenant_rests_half_of_the_time() -> None:
    clock = SecondsClock()
    turns = await with_a_call_next_to_another(clock)
    second = asyncio.create_task(turns.begin(MANY, "second"))
    await settled()
    await end_after_another(turns, clock)
    ended = asyncio.get_running_loop().time()
    await settled()
    assert not second.done()
    async with asyncio.timeout(HANG_SECONDS):
        await second
    assert asyncio.get_running_loop().time() - ended > 0.9 * MAX_REST_SECONDS


async def test_a_tenant_without_waiting_calls_does_not_rest() -> None:
    clock = SecondsClock()
    turns = await with_a_call_next_to_another(clock)
    await end_after_another(turns, clock)
    second = asyncio.create_task(turns.begin(MANY, "second"))
    await settled()
    assert second.done()


async def test_beside_one_with_three_calls_a_tenant_has_three_in_work() -> None:
    turns = TenantTurns(now=SecondsClock())
    for number in range(3):
        await turns.begin(OTHER, number)
    begun: list[int] = []
    async with calling(turns, begun):
        assert begun == [0, 1, 2]


async def test_tenants_with_many_calls_each_have_the_most_in_work_that_one_may_have() -> None:
    turns = TenantTurns(now=SecondsClock())
    for number in range(AT_ONCE + 1):
        await turns.begin(OTHER, number)
    begun: list[int] = []
    async with calling(turns, begun):
        assert begun == list(range(AT_ONCE))


async def test_who_has_not_called_for_a_while_holds_others_back_less_and_less() -> None:
    clock = SecondsClock()
    turns = TenantTurns(now=clock)
    await turns.begin(OTHER, "one")
    turns.end(OTHER, "one")
    begun: list[int] = []
    async with calling(turns, begun):
        clock.now += 2 * CALLED_SECONDS
        turns.end(MANY, 0)
        await settled()
        assert begun == list(range(1 + AT_ONCE))
        clock.now += SHARED_SECONDS
        turns.end(MANY, 1)
        await settled()
        assert begun == list(range(CALLS))


async def test_calls_that_are_in_work_for_long_make_room() -> None:
    turns = TenantTurns()
    await turns.begin(OTHER, "one")
    turns.end(OTHER, "one")
    async with asyncio.timeout(60):
        for call in range(3 * AT_ONCE):
            await turns.begin(MANY, call)
