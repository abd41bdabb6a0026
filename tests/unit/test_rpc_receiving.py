"""A message that is slow to arrive: what its caller's other calls may do meanwhile."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from service.core.model import Principal
from service.ports.store import Keys
from service.rpc.active_call import ActiveCall
from service.rpc.call_runner import CallRunner
from service.rpc.peers import Connections
from service.rpc.policy import CallPolicy
from service.runtime.tenant_turns import TenantTurns
from tests.unit.admission import admitted
from tests.waiting import HANG_SECONDS

TENANT: Final = 1
METHOD: Final = "palimpsest.v1.Documents.GetDocument"


class Caller:
    """Makes calls next to another tenant that makes one at a time, by a clock that stands."""

    def __init__(self) -> None:
        self.turns = TenantTurns(now=lambda: 0.0)
        connections = Connections(lambda _: None)
        principal = Principal(TENANT, "k")
        self.policy = CallPolicy(cast("Keys", None), principal, connections, turns=self.turns)
        self.runner = CallRunner(self.policy)

    async def call(self) -> ActiveCall:
        """A call whose turn it is."""
        return await admitted(self.policy, METHOD)

    def end(self, active: ActiveCall) -> None:
        self.policy.end_call(active, "OK", None, sent=True)


async def test_other_calls_of_the_tenant_begin_while_a_message_is_slow_to_arrive() -> None:
    caller = Caller()
    await caller.turns.begin(TENANT + 1, "call of another tenant")
    arrives = asyncio.Event()
    began = asyncio.Event()

    async def read(_: float) -> bytes:
        await arrives.wait()
        return b"message"

    async def slow() -> bytes:
        active = await caller.call()
        began.set()
        raw = await caller.runner.receive(active, read)
        caller.end(active)
        return raw

    async with asyncio.timeout(HANG_SECONDS):
        receiving = asyncio.create_task(slow())
        await began.wait()
        other = await caller.call()
        # Now it is the first one that must wait.
        arrives.set()
        done, _ = await asyncio.wait([receiving], timeout=0.05)
        assert not done
        caller.end(other)
        assert await receiving == b"message"
