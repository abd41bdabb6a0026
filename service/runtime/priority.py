"""Letting those who wait for an answer go before those nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

PATIENCE_SECONDS = 0.05
"""How long a step of background work stands back: it is slowed down, not stopped."""

QUIET_SECONDS = 1.0
"""After so long without a search nobody is held to be searching."""


class Precedence:
    """Searches go before documents.

    A search takes the interpreter dozens of times, and waits each time for a thread
    that is at work; and both need the same processors.
    """

    def __init__(self) -> None:
        self._waiting = 0
        self._last = -math.inf
        self._nobody = asyncio.Event()
        self._nobody.set()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Somebody waits while the block runs."""
        self._waiting += 1
        self._nobody.clear()
        try:
            yield
        finally:
            self._waiting -= 1
            self._last = monotonic()
            if not self._waiting:
                self._nobody.set()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits, or has lately waited and may soon do so again."""
        return self._waiting > 0 or monotonic() - self._last < QUIET_SECONDS

    async def give(self) -> None:
        """Before a step of background work: stand back for a moment."""
        if self._waiting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nobody.wait(), PATIENCE_SECONDS)
