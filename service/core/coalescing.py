"""Batches: what arrives while work is being done is worked on together.

A call that finds nothing under way goes alone and at once. Under load a batch is what
arrived during the one before it, and then until as many have come as were answered
last, or arrivals pause: those just answered come again, and while one thread takes
their calls in and another is at work on a batch, both spend their time fighting for
the interpreter lock. Few large batches, with the calls taken in between them, carry up
to a third more than many small ones.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.core.errors import PalimpsestError, Reason

In = TypeVar("In")
Out = TypeVar("Out")

MAX_BATCH = 1024
"""Weight of one batch; a call weighs as much as the items it carries, but no more than this."""

EACH_SECONDS = 0.0001
PAUSE_SECONDS = 0.005
"""A pause in the arrivals is so long for each call of the last batch, and no longer than that."""

GATHER_SECONDS = 0.025
"""How long after a batch the next one begins at the latest."""


@dataclass(slots=True)
class _Waiting(Generic[In]):
    item: In
    weight: int


class Coalescer(Generic[In, Out]):
    """Gathers items while `run` is busy with the ones before.

    Args:
        run: Takes a batch; answers one result or exception for each item.
        max_waiting: Weight that may wait; more is refused with OVERLOADED.
        max_batch: Weight of one batch; a heavier call goes alone, and counts as so much
            while it waits, so that one cannot shut out all others.
    """

    def __init__(
        self,
        run: Callable[[Sequence[In]], Awaitable[Sequence[Out | BaseException]]],
        max_waiting: int,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._run = run
        self._max_waiting = max_waiting
        self._max_batch = max_batch
        self._queue: OrderedDict[asyncio.Future[Out], _Waiting[In]] = OrderedDict()
        self._weight = 0
        self._arrived = 0
        self._last_size = 0
        self._last_end = 0.0
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, item: In, weight: int = 1) -> Out:
        weight = min(weight, self._max_batch)
        if self._closed:
            raise PalimpsestError(Reason.SHUTTING_DOWN, "The server is stopping", retry_after=1)
        if self._queue and self._weight + weight > self._max_waiting:
            raise PalimpsestError(
                Reason.OVERLOADED, "Too many calls are waiting; retry later", retry_after=1
            )
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._queue[future] = _Waiting(item, weight)
        self._weight += weight
        self._arrived += 1
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        try:
            return await future
        except asyncio.CancelledError:
            # What runs already runs to its end; what waits is nobody's any more.
            given_up = self._queue.pop(future, None)
            if given_up is not None:
                self._weight -= given_up.weight
            raise

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return self._task is None

    async def close(self) -> None:
        """Refuse new items and wait for those taken."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _drain(self) -> None:
        # One turn of the loop: calls that are ready now belong in this batch.
        await asyncio.sleep(0)
        try:
            while self._queue:
                if self._last_size > 1:
                    await self._gather()
                futures, items = self._take()
                if not items:
                    continue
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
                # The answers wake their callers, whose next calls then join in.
                await asyncio.sleep(0)
        finally:
            self._task = None

    async def _gather(self) -> None:
        """Returns when enough has come, or arrivals pause, or it took long enough."""
        now = asyncio.get_running_loop().time
        end = self._last_end + GATHER_SECONDS
        pause = min(PAUSE_SECONDS, EACH_SECONDS * self._last_size)
        while (
            len(self._queue) < self._last_size
            and self._weight < self._max_batch
            and now() < end
            and not self._closed
        ):
            arrived = self._arrived
            await asyncio.sleep(pause)
            if arrived == self._arrived:
                return

    def _take(self) -> tuple[list[asyncio.Future[Out]], list[In]]:
        futures: list[asyncio.Future[Out]] = []
        items: list[In] = []
        taken = 0
        while self._queue:
            future, waiting = next(iter(self._queue.items()))
            if futures and taken + waiting.weight > self._max_batch:
                break
            del self._queue[future]
            self._weight -= waiting.weight
            if not future.done():
                taken += waiting.weight
                futures.append(future)
                items.append(waiting.item)
        return futures, items
