"""Round robin between tenants; within one, first come, first served."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


SHARED_SECONDS = 1.0
"""Groups are regarded as sharing for so long after requests of different groups."""


class Contention:
    """Whether requests of several groups, such as tenants, come at the same time.

    Args:
        now: A monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._last: Hashable = None
        self._changed = float("-inf")

    def note(self, group: Hashable) -> None:
        """A request of this group has come."""
        if group != self._last:
            if self._last is not None:
                self._changed = self._now()
            self._last = group

    @property
    def shared(self) -> bool:
        return self._now() - self._changed < SHARED_SECONDS


class RecentDemand:
    """The most requests at once that other groups had in the last moments.

    Takes the same time however many groups there are: of each of two intervals, the one that
    runs and the one before it, only the two groups with the most are remembered.

    Args:
        seconds: The length of an interval; what was noted counts for one or two of them.
        now: A monotonic clock, in seconds.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._since = now()
        self._current: dict[Hashable, int] = {}
        self._before: dict[Hashable, int] = {}

    def note(self, group: Hashable, requests: int) -> None:
        """This group has so many requests at once."""
        self._renew()
        most = self._current
        if requests > most.get(group, 0):
            most[group] = requests
            if len(most) > 2:
                del most[min(most, key=most.__getitem__)]

    def of_others(self, group: Hashable) -> int:
        """The most that any other group has had; 0: none had one."""
        self._renew()
        return max(
            (
                requests
                for most in (self._current, self._before)
                for other, requests in most.items()
                if other != group
            ),
            default=0,
        )

    def _renew(self) -> None:
        intervals = (self._now() - self._since) // self._seconds
        if intervals:
            self._before = self._current if intervals == 1 else {}
            self._current = {}
            self._since += intervals * self._seconds


class FairQueue(Generic[T]):
    """A queue that is emptied by round robin over the tenants.

    A tenant's items leave in the order in which they came. Items are hashable, and
    each is in the queue once.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, OrderedDict[T, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def push(self, tenant: int, item: T) -> None:
        self._waiting.setdefault(tenant, OrderedDict())[item] = None

    def first(self, eligible: Callable[[int], bool] | None = None) -> tuple[int, T] | None:
        """The next item: the first one of the eligible tenant whose turn it is."""
        for tenant, items in self._waiting.items():
            if eligible is None or eligible(tenant):
                return tenant, next(iter(items))
        return None

    def take(self, tenant: int, item: T) -> None:
        """Remove an item in its turn: its tenant goes last."""
        self._waiting.move_to_end(tenant)
        self.discard(tenant, item)

    def discard(self, tenant: int, item: T) -> None:
        """Remove an item out of its turn, if it is there."""
        items = self._waiting.get(tenant)
        if items is not None and item in items:
            del items[item]
            if not items:
                del self._waiting[tenant]


class FairThreads:
    """Threads that tenants use in turn; for one event loop.

    Args:
        limit: How many threads there are.
        share: How many of them one tenant may have at once: fewer than `limit`, so
            that a tenant with many calls leaves a thread to the others.
        name: Prefix of the threads' names.
    """

    def __init__(self, limit: int, share: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(limit, name)
        self._limit = limit
        self._share = share
        self._running: Counter[int] = Counter()
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()

    async def run(self, tenant: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work` in a thread, and return its result.

        Its thread counts as the tenant's until `work` returns, even if the caller is
        cancelled before that: a thread cannot be stopped.
        """
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.push(tenant, turn)
        self._dispatch()
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.discard(tenant, turn)
            if not turn.cancelled():
                self._release(tenant)
            raise

        def done(_: object) -> None:
            # A closed loop has no waiting callers.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._release, tenant)

        try:
            running = self._threads.submit(work, *args, **kwargs)
        except BaseException:
            self._release(tenant)
            raise
        running.add_done_callback(done)
        return await asyncio.wrap_future(running)

    def close(self) -> None:
        """Wait for the running work, and end the threads."""
        self._threads.shutdown(wait=True)

    def _release(self, tenant: int) -> None:
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        self._dispatch()

    def _dispatch(self) -> None:
        while self._running.total() < self._limit:
            first = self._waiting.first(lambda tenant: self._running[tenant] < self._share)
            if first is None:
                return
            tenant, turn = first
            self._waiting.take(tenant, turn)
            # A cancelled call may not have left the queue yet.
            if not turn.cancelled():
                self._running[tenant] += 1
                turn.set_result(None)
