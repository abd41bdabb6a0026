"""Pools of reading connections: reads take turns at them, and so do tenants.

Few reads run at once, since they share the processors. One that has run for long
pauses when another waits, in the middle of a statement and on the snapshot it has, and
continues when its turn comes again. So a list that reads a million rows is no
longer in the way of a short one than for a moment. A paused read keeps its connection;
there are some more connections than reads that run.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import threading
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic, perf_counter
from typing import Any, Generic, Protocol, TypeVar

from service.runtime import call_stages
from service.storage.backend import NO_TENANT

T = TypeVar("T")

QUANTUM_SECONDS = 0.001
"""How long a read runs before it pauses for another tenant's that waits."""

OWN_QUANTUM_SECONDS = 0.01
"""The same for one of its own tenant: to change between two scans often helps neither."""

SPARE = 3
"""Readers that only a tenant takes that has none."""

READ_SECONDS = 20.0
"""How long one read may take, pauses included: an open read holds back the checkpoint."""


RESTARTS = 2
"""How often a read begins again because its pool was closed; then it is waited for."""


class Reader(Protocol):
    """What a pool holds."""

    async def settled(self) -> None:
        """Returns when all that the reader was asked for is over."""
        ...


R = TypeVar("R", bound=Reader)


class Turn:
    """One read: how long it may run. Its thread calls `must_stop` often."""

    def __init__(
        self, tenant: int, seconds: float = READ_SECONDS, pool: ReaderPool[Any] | None = None
    ) -> None:
        self.tenant = tenant
        self.abandoned = False
        """The caller was cancelled."""
        self.restart = False
        """It is in the way of a closing pool, and is to begin again when that is open."""
        self.number = 0
        """Its place among those that wait."""
        self._restarts = RESTARTS
        self._seconds = seconds
        self._deadline = math.inf
        self._pool = pool
        self._since = 0.0
        self._resumed = threading.Event()

    def must_stop(self) -> bool:
        """Whether the read must end here; pauses it first while others have their turn."""
        pool = self._pool
        if pool is not None and pool.claims and monotonic() - self._since > self._quantum(pool):
            self._pause(pool)
        return self.abandoned or self.restart or self.overdue

    def _quantum(self, pool: ReaderPool[Any]) -> float:
        own = all(tenant == self.tenant for tenant in pool.claims)
        return OWN_QUANTUM_SECONDS if own else QUANTUM_SECONDS

    @property
    def overdue(self) -> bool:
        """Whether it has had all its time, pauses included."""
        return monotonic() > self._deadline

    def _pause(self, pool: ReaderPool[Any]) -> None:
        self._resumed.clear()
        if self.abandoned or self.restart:
            return
        if pool.ask_to_pause(self):
            self._resumed.wait(self._deadline - monotonic())

    def begin(self) -> None:
        """Its time begins, unless it has; and its quantum."""
        self._deadline = min(self._deadline, monotonic() + self._seconds)
        self.resume()

    def resume(self) -> None:
        """Its quantum begins."""
        self._since = monotonic()
        self._resumed.set()

    def abandon(self) -> None:
        self.abandoned = True
        self._resumed.set()

    def begin_again(self) -> None:
        """End now, to begin again later; unless it has done so too often."""
        if self._restarts:
            self._restarts -= 1
            self.restart = True
            self._resumed.set()


class _Waiting(Generic[R]):
    """Reads of a tenant that wait, first come, first served: to begin, and to continue."""

    __slots__ = ("new", "paused")

    def __init__(self) -> None:
        self.new: OrderedDict[Turn, asyncio.Future[R]] = OrderedDict()
        self.paused: OrderedDict[Turn, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self.new or self.paused)

    def first(self, *, may_begin: bool) -> Turn | None:
        """The one that has waited longest, of those that may run."""
        new = next(iter(self.new), None) if may_begin else None
        paused = next(iter(self.paused), None)
        if new is None or paused is None:
            return new or paused
        return min(new, paused, key=lambda turn: turn.number)


class ReaderPool(Generic[R]):
    """Readers for one kind of reads, and a gate that has them all.

    Tenants take turns by round robin, and always find a reader while no
    more than SPARE others read: the last ones are for tenants that have none.

    Args:
        readers: In the order in which they are preferred.
        slots: How many reads run at once; the other readers are for paused ones.
    """

    def __init__(self, readers: Sequence[R], slots: int) -> None:
        self.readers = readers
        self._slots = slots
        self._idle = list(range(len(readers)))
        self._turns: dict[Turn, int] = {}
        """Reads that have a reader, and its number."""
        self._tenants: Counter[int] = Counter()
        """How many readers each tenant has."""
        self._running: set[Turn] = set()
        self._waiting: OrderedDict[int, _Waiting[R]] = OrderedDict()
        self._numbers = itertools.count()
        self._gate = asyncio.Lock()
        self._closing = False
        self._all_back = asyncio.Event()
        self._settling: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.claims: tuple[int, ...] = ()
        """Tenants, two at most, with a read that could run if another paused; read by the
        threads."""

    @property
    def all_idle(self) -> bool:
        """Whether all readers of this pool are idle."""
        return not self._turns

    async def use(self, work: Callable[[R, Turn], Awaitable[T]], tenant: int = NO_TENANT) -> T:
        """Do `work` with a reader of its own.

        It is done again when the pool was closed in the middle of it.
        """
        turn = Turn(tenant, pool=self)
        while True:
            reader = await self._begin(turn)
            try:
                result = await work(reader, turn)
            except asyncio.CancelledError:
                turn.abandon()
                # Its thread may still be at it, and its snapshot open.
                task = asyncio.create_task(self._settle(reader, turn))
                self._settling.add(task)
                task.add_done_callback(self._settling.discard)
                raise
            except BaseException:
                self._end(turn)
                if not turn.restart or turn.overdue:
                    raise
                turn.restart = False
            else:
                self._end(turn)
                return result

    async def _settle(self, reader: R, turn: Turn) -> None:
        try:
            await reader.settled()
        finally:
            self._end(turn)

    async def _begin(self, turn: Turn) -> R:
        tenant = turn.tenant
        if not self._closing and not self._waiting and self._has_slot and self._may_begin(tenant):
            return self._started(turn)
        begun: asyncio.Future[R] = self._loop.create_future()
        self._enqueue(turn).new[turn] = begun
        self._dispatch()
        try:
            return await begun
        except asyncio.CancelledError:
            waiting = self._waiting.get(tenant)
            if waiting is not None and waiting.new.pop(turn, None) is not None:
                self._leave(tenant, waiting)
            if not begun.cancelled():
                self._end(turn)
            raise

    def _enqueue(self, turn: Turn) -> _Waiting[R]:
        turn.number = next(self._numbers)
        waiting = self._waiting.get(turn.tenant)
        if waiting is None:
            waiting = self._waiting[turn.tenant] = _Waiting()
        return waiting

    def _leave(self, tenant: int, waiting: _Waiting[R]) -> None:
        if not waiting:
            del self._waiting[tenant]

    @property
    def _has_slot(self) -> bool:
        return len(self._running) < self._slots

    def _may_begin(self, tenant: int) -> bool:
        idle = len(self._idle)
        return idle > SPARE or (idle > 0 and not self._tenants[tenant])

    def _started(self, turn: Turn) -> R:
        number = heapq.heappop(self._idle)
        self._turns[turn] = number
        self._tenants[turn.tenant] += 1
        self._running.add(turn)
        turn.begin()
        return self.readers[number]

    def _end(self, turn: Turn) -> None:
        """The read is over: its reader and slot are free."""
        tenant = turn.tenant
        heapq.heappush(self._idle, self._turns.pop(turn))
        self._tenants[tenant] -= 1
        if not self._tenants[tenant]:
            del self._tenants[tenant]
        self._running.discard(turn)
        waiting = self._waiting.get(tenant)
        if waiting is not None and turn in waiting.paused:
            del waiting.paused[turn]
            self._leave(tenant, waiting)
        if self._waiting:
            self._dispatch()
        if self._closing and not self._turns:
            self._all_back.set()

    def ask_to_pause(self, turn: Turn) -> bool:
        """Called by a read's thread, which then waits until it is resumed, unless False."""
        try:
            self._loop.call_soon_threadsafe(self._paused, turn)
        except RuntimeError:  # The loop is closed: no caller waits.
            return False
        return True

    def _paused(self, turn: Turn) -> None:
        if turn not in self._running or turn.abandoned or turn.restart:
            turn.resume()
            return
        self._running.discard(turn)
        self._enqueue(turn).paused[turn] = None
        self._dispatch()

    def _dispatch(self) -> None:
        """Give the free slots to the reads whose turn it is."""
        while self._has_slot and (found := next(self._eligible(), None)) is not None:
            tenant, turn = found
            waiting = self._waiting[tenant]
            self._waiting.move_to_end(tenant)
            begun = waiting.new.pop(turn, None)
            if begun is None:
                del waiting.paused[turn]
                self._running.add(turn)
                turn.resume()
            elif not begun.cancelled():  # A cancelled one may not have left yet.
                begun.set_result(self._started(turn))
            self._leave(tenant, waiting)
        self.claims = tuple(tenant for tenant, _ in itertools.islice(self._eligible(), 2))

    def _eligible(self) -> Iterator[tuple[int, Turn]]:
        """Of each tenant the read that may run next, in the order of their turns."""
        for tenant, waiting in self._waiting.items():
            may_begin = not self._closing and self._may_begin(tenant)
            if (turn := waiting.first(may_begin=may_begin)) is not None:
                yield tenant, turn

    @asynccontextmanager
    async def readers_paused(self) -> AsyncIterator[None]:
        """No read of this pool runs while the block runs; new ones wait.

        Long reads are not waited for, but begin again afterwards; RESTARTS times at most,
        so that they come to their end however often the pool is closed.
        """
        async with self._gate:
            self._closing = True
            try:
                for turn in self._turns:
                    turn.begin_again()
                while self._turns:
                    self._all_back.clear()
                    await self._all_back.wait()
                yield
            finally:
                self._closing = False
                self._dispatch()

    async def settled(self) -> None:
        """Returns when every reader whose caller was cancelled is back."""
        while self._settling:
            await asyncio.wait(self._settling)


def noted(read: Callable[[R, Turn], Awaitable[T]]) -> Callable[[R, Turn], Awaitable[T]]:
    """The same, noting its stages if the current call wants to know them."""
    stages = call_stages.current()
    if stages is None:
        return read
    requested = perf_counter()

    async def reading(reader: R, turn: Turn) -> T:
        nonlocal requested
        began = perf_counter()
        stages.note("read_wait", requested, began)
        try:
            return await read(reader, turn)
        finally:
            # It may be done again.
            requested = perf_counter()
            stages.note("read", began, requested)

    return reading
