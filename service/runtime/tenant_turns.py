"""How many calls of one tenant are worked on at once while other tenants call, too.

A call takes some iterations of an event loop, and each iteration takes as long as all the work
that is ready in it. A tenant with many calls at once would make every other tenant's calls as
slow as its own. So while several tenants call, each has a few calls in work, and its others
wait; a tenant that calls alone is not held back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import suppress
from time import monotonic
from typing import Final

from service.runtime.call_stages import stage
from service.runtime.fairness import Contention

AT_ONCE: Final = 8
"""Calls of one tenant in work while others call, too: the default."""

LONG_SECONDS: Final = 0.25
"""A call in work for longer is not counted: it waits for something, or runs elsewhere."""


class _Tenant:
    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running: OrderedDict[object, float] = OrderedDict()
        """When each call in work began, oldest first."""
        self.waiting: deque[asyncio.Future[None]] = deque()

    def full(self, at_once: int) -> bool:
        """Whether no further call may begin; calls in work for long are not counted."""
        horizon = monotonic() - LONG_SECONDS
        while len(self.running) >= at_once:
            oldest, since = next(iter(self.running.items()))
            if since > horizon:
                return True
            del self.running[oldest]
        return False


class TenantTurns:
    """Lets calls begin, each in its tenant's turn.

    Args:
        at_once: Calls of one tenant in work while others call, too.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._tenants: dict[int, _Tenant] = {}
        self._contention = Contention()

    async def begin(self, tenant: int, call: object) -> None:
        """Returns when the call may be worked on.

        `end` must be called, even if this is cancelled.
        """
        self._contention.note(tenant)
        state = self._tenants.get(tenant)
        if state is None:
            state = self._tenants[tenant] = _Tenant()
        if self._contention.shared and (state.waiting or state.full(self._at_once)):
            with stage("turn"):
                await self._wait(state)
        state.running[call] = monotonic()

    async def _wait(self, state: _Tenant) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        state.waiting.append(turn)
        try:
            while self._contention.shared:
                # Calls that have been in work for long make room without a notification.
                done, _ = await asyncio.wait((turn,), timeout=LONG_SECONDS)
                if done or not state.full(self._at_once):
                    return
        finally:
            state.running.pop(turn, None)
            with suppress(ValueError):
                state.waiting.remove(turn)

    def end(self, tenant: int, call: object) -> None:
        state = self._tenants.get(tenant)
        if state is None:
            return
        state.running.pop(call, None)
        while state.waiting and not (self._contention.shared and state.full(self._at_once)):
            turn = state.waiting.popleft()
            # Its place is reserved until the task resumes.
            state.running[turn] = monotonic()
            turn.set_result(None)
        if not state.running and not state.waiting:
            del self._tenants[tenant]
