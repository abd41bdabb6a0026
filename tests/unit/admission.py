"""A call whose turn it is, as the policy has them."""

from __future__ import annotations

import asyncio
from typing import Final

from service.rpc.access import ACCESS
from service.rpc.active_call import ActiveCall
from service.rpc.origin import Origin
from service.rpc.policy import CallPolicy

PEER: Final = "ipv4:127.0.0.1:1"


async def admitted(policy: CallPolicy, method: str) -> ActiveCall:
    """A call of this method, made by the current task; waits for its turn."""
    task = asyncio.current_task()
    assert task is not None
    active = policy.begin(method, policy.connection(PEER), task, Origin)
    await policy.admit(active, ACCESS[method], None)
    await policy.wait_turn(active)
    return active
