"""How much memory the calls of one key may hold at once.

gRPC lets a caller open calls without end, send each message as slowly as it
likes, and never read an answer. What all this can take is bounded here, by key,
so that one that goes too far only stands in its own way.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from service.core.errors import PalimpsestError, Reason

RECEIVED_AT_ONCE: Final = 32
"""Messages of one key that may be arriving; further calls wait for their turn."""

HELD_BYTES: Final = 128 * 1024 * 1024
"""Requests being worked on, and answers not yet read, of one key."""

SMALL: Final = 4096
"""Bytes of a message that is not worth counting."""


class Holdings:
    """By id of the key; "" stands for callers without one."""

    def __init__(self) -> None:
        self._arriving: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(RECEIVED_AT_ONCE)
        )
        self._held: defaultdict[str, int] = defaultdict(int)

    def arriving(self, key_id: str) -> asyncio.Semaphore:
        """To be held while a message is received."""
        return self._arriving[key_id]

    def take(self, key_id: str, size: int) -> int:
        """Counts a message; answers what to `give` back. Raises OVERLOADED."""
        if size <= SMALL:
            return 0
        if self._held[key_id] + size > HELD_BYTES:
            raise PalimpsestError(
                Reason.OVERLOADED,
                "The key's calls hold too much at once: read the answers, or send less together",
                retry_after=1,
            )
        self._held[key_id] += size
        return size

    def give(self, key_id: str, size: int) -> None:
        if size:
            self._held[key_id] -= size
            if not self._held[key_id]:
                del self._held[key_id]
