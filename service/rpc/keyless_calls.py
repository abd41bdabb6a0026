"""The budget of calls that need no key: health and reflection.

It is small and separate: callers without a key can delay only each other, and only
briefly.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from service.core.errors import PalimpsestError, Reason
from service.rpc.active_call import ActiveCall

MAX_CALLS: Final = 256
"""Calls without a key at once, streams included. One more ends the oldest of them."""

MAX_CALLS_PER_CONNECTION: Final = 16

MAX_RECEIVING: Final = 8
"""Messages that are received at once; each may have 16 MiB before it is refused."""

RECEIVE_SECONDS: Final = 5.0
"""How long the message of such a call, of a few bytes, may take to arrive."""

HURRIED_SECONDS: Final = 0.1
"""The same while others wait to send theirs, and how long a call has before it makes room."""


class KeylessCalls:
    """The calls without a key that are in progress, oldest first."""

    def __init__(self) -> None:
        self._calls: dict[ActiveCall, None] = {}
        self._receiving: dict[ActiveCall, float] = {}
        self._slots = asyncio.Semaphore(MAX_RECEIVING)

    def admit(self, call: ActiveCall) -> None:
        """Let a call in; raises OVERLOADED."""
        connection = call.connection
        if not connection.shared and connection.keyless_calls >= MAX_CALLS_PER_CONNECTION:
            raise _too_many("on this connection")
        if len(self._calls) >= MAX_CALLS:
            oldest = next(iter(self._calls))
            if monotonic() - oldest.started < HURRIED_SECONDS:
                raise _too_many("at once")
            del self._calls[oldest]
            oldest.end(_too_many("at once"))
        self._calls[call] = None
        connection.keyless_calls += 1
        call.keyless = True

    def leave(self, call: ActiveCall) -> None:
        self._calls.pop(call, None)
        call.connection.keyless_calls -= 1

    @asynccontextmanager
    async def receiving(self, call: ActiveCall) -> AsyncIterator[None]:
        """While the block runs a message may arrive; it waits for its turn.

        Calls that keep others waiting for more than a moment are refused.
        """
        while self._slots.locked():
            self._refuse_late()
            try:
                async with asyncio.timeout(HURRIED_SECONDS):
                    await self._slots.acquire()
            except TimeoutError:
                continue
            break
        else:
            await self._slots.acquire()
        self._receiving[call] = monotonic()
        try:
            yield
        finally:
            del self._receiving[call]
            self._slots.release()

    def _refuse_late(self) -> None:
        now = monotonic()
        for call, since in self._receiving.items():
            if now - since >= HURRIED_SECONDS:
                call.end(late(HURRIED_SECONDS))


def late(seconds: float) -> PalimpsestError:
    """The refusal of a message that did not arrive in time."""
    return PalimpsestError(
        Reason.DEADLINE_EXCEEDED, f"The message did not arrive within {seconds:g} seconds"
    )


def _too_many(where: str) -> PalimpsestError:
    return PalimpsestError(
        Reason.OVERLOADED, f"Too many calls without a key {where}", retry_after=1
    )
