"""How many calls of one tenant are worked on at once while other tenants call, too.

A call takes some iterations of an event loop, and each iteration takes as long as all the work
that is ready in it. A tenant with many calls at once would make every other tenant's calls as
slow as its own. So while several tenants call, each has as many calls in work as the busiest of
the others asks for, within bounds, and its others wait: tenants with many calls share the
service evenly, and next to one that makes a call at a time, each does. Next to such a one, a tenant
whose calls wait has none in work for half of the time: its calls would fill the processors, and
however short they are, the other's would wait at each step. A tenant that calls alone is not held
back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

from service.runtime.call_stages import stage
from service.runtime.fairness import Contention, RecentDemand
from service.runtime.priority import CALLED_SECONDS

AT_ONCE: Final = 8
"""Calls of one tenant in work while others call, too, at most: the default."""

LONG_SECONDS: Final = 0.25
"""A call in work for longer is not counted: it waits for something, or runs elsewhere."""

MAX_REST_SECONDS: Final = 0.1
"""For so long at most the place of a call that has ended stays empty."""


class _Tenant:
    __slots__ = ("resting", "running", "waiting")

    def __init__(self) -> None:
        self.resting = 0
        """Places that calls have left and that stay empty for now."""
        self.running: OrderedDict[object, float] = OrderedDict()
        """When each call in work began, oldest first."""
        self.waiting: deque[asyncio.Future[None]] = deque()

    @property
    def calls(self) -> int:
        return len(self.running) + len(self.waiting)

    def full(self, at_once: int, now: float) -> bool:
        """Whether no further call may begin; calls in work for long are not counted."""
        horizon = now - LONG_SECONDS
        while self.resting + len(self.running) >= at_once:
            if not self.running:
                return True
            oldest, since = next(iter(self.running.items()))
            if since > horizon:
                return True
            del self.running[oldest]
        return False


class TenantTurns:
    """Lets calls begin, each in its tenant's turn.

    Args:
        at_once: Calls of one tenant in work while others call, too, at most.
        now: A monotonic clock, in seconds.
        demand: Where the tenants' calls are noted; None: a new one.
    """

    def __init__(
        self,
        at_once: int = AT_ONCE,
        now: Callable[[], float] = monotonic,
        demand: RecentDemand | None = None,
    ) -> None:
        self._at_once = at_once
        self._now = now
        self._tenants: dict[int, _Tenant] = {}
        self._contention = Contention(now)
        self._demand = demand or RecentDemand(CALLED_SECONDS, now)

    async def begin(self, tenant: int, call: object) -> None:
        """Returns when the call may be worked on.

        `end` must be called, even if this is cancelled.
        """
        self._contention.note(tenant)
        state = self._tenants.get(tenant)
        if state is None:
            state = self._tenants[tenant] = _Tenant()
        self._demand.note(tenant, state.calls + 1)
        if self._contention.shared and (state.waiting or self._full(tenant, state)):
            with stage("turn"):
                await self._wait(tenant, state)
        state.running[call] = self._now()

    async def resume(self, tenant: int, call: object) -> None:
        """Begins the call again if it has ended; returns when it may be worked on."""
        state = self._tenants.get(tenant)
        if state is None or call not in state.running:
            await self.begin(tenant, call)

    def _full(self, tenant: int, state: _Tenant) -> bool:
        return state.full(self._limit(tenant), self._now())

    def _limit(self, tenant: int) -> int:
        """How many calls of the tenant may be in work next to those of others."""
        others = self._demand.of_others(tenant)
        return min(self._at_once, others) if others else self._at_once

    async def _wait(self, tenant: int, state: _Tenant) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        state.waiting.append(turn)
        try:
            while self._contention.shared:
                # Calls that have been in work for long make room without a notification.
                done, _ = await asyncio.wait((turn,), timeout=LONG_SECONDS)
                if done or not self._full(tenant, state):
                    return
        finally:
            state.running.pop(turn, None)
            with suppress(ValueError):
                state.waiting.remove(turn)

    def end(self, tenant: int, call: object) -> None:
        """The call is not worked on any more; it may have ended before, or not have begun."""
        state = self._tenants.get(tenant)
        if state is None:
            return
        self._demand.note(tenant, state.calls)
        began = state.running.pop(call, None)
        held_back = self._contention.shared and self._limit(tenant) < self._at_once
        if began is not None and state.waiting and held_back:
            self._rest(tenant, state, self._now() - began)
        self._go_on(tenant, state)

    def _rest(self, tenant: int, state: _Tenant, took: float) -> None:
        state.resting += 1

        def over() -> None:
            state.resting -= 1
            self._go_on(tenant, state)

        asyncio.get_running_loop().call_later(min(took, MAX_REST_SECONDS), over)

    def _go_on(self, tenant: int, state: _Tenant) -> None:
        while state.waiting and not (self._contention.shared and self._full(tenant, state)):
            turn = state.waiting.popleft()
            # Its place is reserved until the task resumes.
            state.running[turn] = self._now()
            turn.set_result(None)
        if not state.calls and not state.resting:
            del self._tenants[tenant]
