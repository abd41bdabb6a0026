"""Requests that a caller waits for run before background work."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from service.runtime.fairness import RecentDemand

MAX_YIELD_SECONDS = 0.05
"""How long a step of background work waits: it is slowed down, not stopped."""

QUIET_SECONDS = 1.0
"""How long after a search another one is still expected."""

CALLED_SECONDS: Final = 0.025
"""For so long, or twice as long at most, another call of a tenant is expected after one."""

MAX_YIELD_TO_OTHERS_SECONDS: Final = 0.25
"""How long a step of one tenant's background work waits for the calls of others."""


class ForegroundPriority:
    """Searches run before documents are processed, and so do all calls of other tenants.

    A search takes the interpreter dozens of times, and waits each time for a thread
    that is at work; and both need the same processors.

    Args:
        max_yield_seconds: How long `yield_to_foreground` waits at most.
        max_yield_to_others_seconds: How long `yield_to_others` waits at most.
        quiet_seconds: How long after the last foreground request `busy` remains true.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        max_yield_seconds: float = MAX_YIELD_SECONDS,
        max_yield_to_others_seconds: float = MAX_YIELD_TO_OTHERS_SECONDS,
        quiet_seconds: float = QUIET_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.calls = RecentDemand(CALLED_SECONDS, clock)
        """Where the calls of all tenants are noted when they begin and end."""
        self._max_yield_seconds = max_yield_seconds
        self._max_yield_to_others_seconds = max_yield_to_others_seconds
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._running = 0
        self._last = -math.inf
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def foreground(self) -> Iterator[None]:
        """A caller waits for what is done in the block."""
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            self._last = self._clock()
            if not self._running:
                self._idle.set()

    @property
    def busy(self) -> bool:
        """Whether foreground requests are running, or ran recently and may come again."""
        return self._running > 0 or self._clock() - self._last < self._quiet_seconds

    async def yield_to_foreground(self) -> None:
        """Before a step of background work: wait for a moment while requests are running."""
        if self._running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self._max_yield_seconds)

    async def yield_to_others(self, tenant: int) -> float:
        """Before a step of a tenant's background work: wait for a moment while others call.

        Returns how many seconds it waited.
        """
        began = self._clock()
        waited, most = 0.0, self._max_yield_to_others_seconds
        while waited < most and self.calls.of_others(tenant):
            # No event tells that a while has passed without a call.
            await asyncio.sleep(min(CALLED_SECONDS, most - waited))
            waited = self._clock() - began
        return waited
