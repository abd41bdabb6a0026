"""Logging once what happens many times in a row."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic

QUIET_SECONDS = 600.0
"""After so long without an event, the next one begins a new burst."""

REMEMBERED = 10_000
"""Keys that are kept; those of the latest events."""


class Bursts:
    """Tells the first event of a burst from those that follow.

    Args:
        clock: Seconds.
        remembered: How many keys are kept.
    """

    def __init__(
        self, clock: Callable[[], float] = monotonic, remembered: int = REMEMBERED
    ) -> None:
        self._clock = clock
        self._remembered = remembered
        self._last: OrderedDict[Hashable, float] = OrderedDict()

    def begins(self, key: Hashable) -> bool:
        """Record an event; True if none of its key has been recorded for a while."""
        now = self._clock()
        before = self._last.pop(key, None)
        self._last[key] = now
        if len(self._last) > self._remembered:
            self._last.popitem(last=False)
        return before is None or now - before > QUIET_SECONDS
