"""Tenants take turns; see `runtime.fairness`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from service.runtime.fairness import FairQueue, FairThreads, RecentDemand

LIMIT = 30.0


def _drained(queue: FairQueue[str]) -> list[str]:
    order = []
    while (first := queue.first()) is not None:
        queue.take(*first)
        order.append(first[1])
    return order


def test_tenants_are_served_by_round_robin_and_each_in_its_own_order() -> None:
    queue: FairQueue[str] = FairQueue()
    for tenant, item in ((1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (2, "b2")):
        queue.push(tenant, item)
    assert _drained(queue) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert not queue


def test_what_is_discarded_and_who_is_not_eligible_are_passed_over() -> None:
    queue: FairQueue[str] = FairQueue()
    for tenant, item in ((1, "a1"), (2, "b1"), (2, "b2")):
        queue.push(tenant, item)
    assert queue.first(lambda tenant: tenant == 2) == (2, "b1")
    assert queue.first(lambda tenant: tenant == 3) is None
    queue.discard(2, "b1")
    queue.discard(2, "b1")
    assert _drained(queue) == ["a1", "b2"]


@pytest_asyncio.fixture
async def threads() -> AsyncIterator[FairThreads]:
    made = FairThreads(3, 2, "test")
    yield made
    await asyncio.to_thread(made.close)


class Blocked:
    """Calls that run until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began: list[str] = []
        self._noted = threading.Semaphore(0)

    async def begun(self, count: int) -> None:
        """Returns when so many more have begun."""
        for _ in range(count):
            assert await asyncio.to_thread(self._noted.acquire, timeout=LIMIT)

    def __call__(self, name: str) -> str:
        self.began.append(name)
        self._noted.release()
        assert self.go.wait(LIMIT)
        return name


async def test_one_tenants_many_calls_leave_a_thread_to_the_others(threads: FairThreads) -> None:
    blocked = Blocked()
    many = [asyncio.create_task(threads.run(1, blocked, f"a{n}")) for n in range(20)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(LIMIT):
            assert [await threads.run(2, str, n) for n in range(3)] == ["0", "1", "2"]
        assert sorted(blocked.began) == ["a0", "a1"]
    finally:
        blocked.go.set()
    assert await asyncio.gather(*many) == [f"a{n}" for n in range(20)]


async def test_a_thread_counts_until_its_work_is_over_though_its_caller_has_gone(
    threads: FairThreads,
) -> None:
    blocked = Blocked()
    first = [asyncio.create_task(threads.run(1, blocked, f"a{n}")) for n in range(2)]
    waiting = [asyncio.create_task(threads.run(1, blocked, f"a{n}")) for n in (2, 3)]
    await blocked.begun(2)
    for task in (*first, waiting[0]):
        task.cancel()
    await asyncio.wait((*first, waiting[0]))
    assert await threads.run(2, str, 1) == "1"
    assert sorted(blocked.began) == ["a0", "a1"]
    blocked.go.set()
    assert await waiting[1] == "a3"
    assert blocked.began[2:] == ["a3"]


async def test_a_call_cancelled_as_its_turn_comes_gives_the_turn_back() -> None:
    threads = FairThreads(1, 1, "test")
    blocked = Blocked()
    running = asyncio.create_task(threads.run(1, blocked, "first"))
    late = asyncio.create_task(threads.run(1, str, 1))
    await blocked.begun(1)
    blocked.go.set()
    running.add_done_callback(lambda _: late.cancel())
    assert await running == "first"
    await asyncio.wait((late,))
    async with asyncio.timeout(LIMIT):
        assert await threads.run(2, str, 2) == "2"
    threads.close()


@given(
    st.lists(
        st.tuples(st.integers(0, 15), st.integers(1, 5), st.integers(1, 9)),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 5),
)
def test_the_demand_of_others_is_that_of_one_or_two_intervals(
    notes: list[tuple[int, int, int]], group: int
) -> None:
    time = 0
    demand = RecentDemand(10, lambda: time)
    noted: list[tuple[int, int]] = []
    for passed, other, requests in notes:
        time += passed
        demand.note(other, requests)
        if other != group:
            noted.append((time, requests))
        most = demand.of_others(group)
        assert most >= max((n for at, n in noted if time - at < 10), default=0)
        assert most <= max((n for at, n in noted if time - at < 20), default=0)
