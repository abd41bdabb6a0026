"""Batches: items that arrive while a batch is in work form the next one.

Items belong to groups, such as tenants, that take turns: a batch has one of each group, then
another, until it is full. While several groups have items, batches are small, so that a
group with few items waits for little; a single group gets large ones.

A call that finds no batch in work starts one at once, alone. Under load a batch is what
arrived during the one before it, and then until as many have come as were answered
last, or arrivals pause: the callers just answered call again, and while one thread receives
their calls and another one works on a batch, both contend for the interpreter lock. Few
large batches, with the calls received between them, carry up to a third more than many
small ones.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from time import perf_counter
from typing import Generic, TypeVar

from service.core.errors import PalimpsestError, Reason
from service.runtime import call_stages
from service.runtime.call_stages import CallStages
from service.runtime.fairness import Contention

In = TypeVar("In")
Out = TypeVar("Out")

MAX_BATCH = 1024
"""Cost of one batch: items written, at most; a call costs no more than this."""

SHARED_BATCH = 16
"""The same while several groups have items: a few milliseconds of writing, which an
item of another group waits for, twice."""

LIGHT = 4
"""The first item of each group always fits if it costs no more than this."""

TOTAL_FACTOR = 4
"""How many times as much as one group all groups may have waiting."""

SMALL_PART = 64
"""The last quarter of that is reserved for groups that use no more than this fraction of
their own limit."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """How long a batch waits for those just answered to call again. All in seconds.

    Args:
        per_call: Arrivals have paused after so long for each call of the last batch,
        pause: but at most after so long.
        gather: How long after a batch the next one begins at the latest.
    """

    per_call: float = 0.0001
    pause: float = 0.005
    gather: float = 0.025


DEFAULT_PACING = Pacing()


class _Batch:
    """When a batch began, and the stages of all its calls since then."""

    __slots__ = ("began", "stages")

    def __init__(self) -> None:
        self.began = perf_counter()
        self.stages = CallStages()


@dataclass(slots=True)
class _Waiting(Generic[In]):
    item: In
    weight: int
    cost: int
    batch: _Batch | None = None
    """The one that it is in, if a call wants to know its stages."""

    def note(self, stages: CallStages, submitted: float) -> None:
        """Note how long it waited since then, and what was done in its batch."""
        batch = self.batch
        if batch is None:
            # Its call was cancelled before its turn came.
            stages.note("queue", submitted, perf_counter())
        else:
            stages.note("queue", submitted, batch.began)
            stages.note_all(batch.stages.noted)


@dataclass(slots=True)
class _Group(Generic[In, Out]):
    """The waiting items of one group, oldest first, and their weight."""

    queue: OrderedDict[asyncio.Future[Out], _Waiting[In]] = field(default_factory=OrderedDict)
    weight: int = 0


class Coalescer(Generic[In, Out]):
    """Gathers items while `run` works on the previous batch.

    Args:
        run: Takes a batch; answers one result or exception for each item.
        max_waiting: Weight of one group that may wait; more is refused with OVERLOADED.
        max_batch: Cost of one batch; a call that costs more runs alone, and weighs no more
            than this while it waits, so that it cannot keep out all others.
        pacing: How long a batch waits for further calls.
    """

    def __init__(
        self,
        run: Callable[[Sequence[In]], Awaitable[Sequence[Out | BaseException]]],
        max_waiting: int,
        max_batch: int = MAX_BATCH,
        pacing: Pacing = DEFAULT_PACING,
    ) -> None:
        self._run = run
        self._max_waiting = max_waiting
        self._max_total = max_waiting * TOTAL_FACTOR
        self._max_batch = max_batch
        self._pacing = pacing
        self._groups: OrderedDict[Hashable, _Group[In, Out]] = OrderedDict()
        self._waiting = 0
        self._weight = 0
        self._arrived = 0
        self._contention = Contention()
        self._last_size = 0
        self._last_end = 0.0
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._noting = False
        """Whether any call has wanted to know its stages."""

    async def submit(
        self, item: In, weight: int = 1, group: Hashable = 0, cost: int | None = None
    ) -> Out:
        """The result of `run` for the item.

        Args:
            item: Passed to `run`.
            weight: How much of the limit of waiting items it uses.
            group: The group that it belongs to.
            cost: How much of a batch it uses. None: as much as it weighs.

        Raises:
            PalimpsestError: OVERLOADED or SHUTTING_DOWN.
            Exception: What `run` returned for the item, or raised for its batch.
        """
        weight = min(weight, self._max_batch)
        cost = weight if cost is None else cost
        if self._closed:
            raise PalimpsestError(Reason.SHUTTING_DOWN, "The server is stopping", retry_after=1)
        self._contention.note(group)
        waiting = self._groups.get(group)
        if self._overloaded(waiting, weight):
            raise PalimpsestError(
                Reason.OVERLOADED, "Too many calls are waiting; retry later", retry_after=1
            )
        if waiting is None:
            waiting = self._groups[group] = _Group()
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        entry = waiting.queue[future] = _Waiting(item, weight, cost)
        waiting.weight += weight
        self._waiting += 1
        self._weight += weight
        self._arrived += 1
        if self._task is None:
            # In a context of its own: it works for all calls, and outlives this one.
            self._task = asyncio.create_task(self._drain(), context=Context())
        stages = call_stages.current()
        submitted = 0.0 if stages is None else perf_counter()
        self._noting = self._noting or stages is not None
        try:
            return await future
        except asyncio.CancelledError:
            # An item in work is finished; a waiting one no longer has a caller.
            self._remove(group, future)
            raise
        finally:
            if stages is not None:
                entry.note(stages, submitted)

    def _overloaded(self, waiting: _Group[In, Out] | None, weight: int) -> bool:
        if not self._waiting:
            return False
        own = weight + (waiting.weight if waiting is not None else 0)
        if waiting is not None and own > self._max_waiting:
            return True
        total = self._weight + weight
        if total <= self._max_total * 3 // 4:
            return False
        return total > self._max_total or own > max(1, self._max_waiting // SMALL_PART)

    def _remove(self, group: Hashable, future: asyncio.Future[Out]) -> _Waiting[In] | None:
        waiting = self._groups.get(group)
        removed = None if waiting is None else waiting.queue.pop(future, None)
        if waiting is not None and removed is not None:
            waiting.weight -= removed.weight
            self._weight -= removed.weight
            self._waiting -= 1
            if not waiting.queue:
                del self._groups[group]
        return removed

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return self._task is None

    @property
    def shared(self) -> bool:
        """Whether several groups have items, or recently had."""
        return len(self._groups) > 1 or self._contention.shared

    async def close(self) -> None:
        """Refuse new items and wait for those accepted."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _drain(self) -> None:
        # One iteration of the loop: calls that are ready now belong in this batch.
        await asyncio.sleep(0)
        try:
            while self._groups:
                if self._last_size > 1:
                    await self._gather()
                batch = _Batch() if self._noting else None
                futures, items = self._take(batch)
                if not items:
                    continue
                call_stages.enter(None if batch is None else batch.stages)
                try:
                    results = await self._run(items)
                except BaseException as error:  # noqa: BLE001  (goes to the callers)
                    results = [error] * len(items)
                for future, result in zip(futures, results, strict=True):
                    if future.done():
                        continue
                    if isinstance(result, BaseException):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
                self._last_size = len(items)
                self._last_end = asyncio.get_running_loop().time()
                # The results wake their callers, whose next calls then join the next batch.
                await asyncio.sleep(0)
        finally:
            self._task = None

    async def _gather(self) -> None:
        """Returns when enough items have arrived, or arrivals pause, or it took long enough."""
        if self.shared:
            return
        now = asyncio.get_running_loop().time
        end = self._last_end + self._pacing.gather
        pause = min(self._pacing.pause, self._pacing.per_call * self._last_size)
        while (
            self._waiting < self._last_size
            and self._weight < self._max_batch
            and now() < end
            and not self._closed
        ):
            arrived = self._arrived
            await asyncio.sleep(pause)
            if arrived == self._arrived:
                return

    def _take(self, batch: _Batch | None) -> tuple[list[asyncio.Future[Out]], list[In]]:
        """The next batch: from each group in turn, as long as items fit."""
        futures: list[asyncio.Future[Out]] = []
        items: list[In] = []
        room = min(SHARED_BATCH, self._max_batch) if self.shared else self._max_batch
        served: set[Hashable] = set()
        full: set[Hashable] = set()
        while len(full) < len(self._groups):
            group, waiting = next(iter(self._groups.items()))
            future, first = next(iter(waiting.queue.items()))
            self._groups.move_to_end(group)
            # A light item joins a full batch of another group's heavy items.
            light = first.cost <= LIGHT and group not in served
            if group in full or (futures and first.cost > room and not light):
                full.add(group)
                continue
            served.add(group)
            self._remove(group, future)
            first.batch = batch
            if not future.done():
                room -= first.cost
                futures.append(future)
                items.append(first.item)
        return futures, items
