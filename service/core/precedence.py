"""Letting those who wait for an answer go before those nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 0.05
"""How long a step of background work stands back: it is slowed down, not stopped."""


class Precedence:
    """Searches go before documents.

    A search takes the interpreter dozens of times, and waits each time for a thread
    that is at work; and both need the same processors.
    """

    def __init__(self) -> None:
        self._waiting = 0
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
            if not self._waiting:
                self._nobody.set()

    async def give(self) -> None:
        """Before a step of background work: stand back for a moment."""
        if self._waiting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nobody.wait(), PATIENCE_SECONDS)
