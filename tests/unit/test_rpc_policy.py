"""Which calls that their callers gave up count against the connection."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from service.core.model import Principal
from service.ports.store import Keys
from service.rpc.access import ACCESS
from service.rpc.active_call import ActiveCall
from service.rpc.origin import Origin
from service.rpc.peers import FAILED_CALL_BURST, KEYED_FACTOR, Connections
from service.rpc.policy import CANCELLED, RESET_SECONDS, CallPolicy

METHOD = "palimpsest.v1.Documents.GetDocument"
MANY = int(3 * FAILED_CALL_BURST * KEYED_FACTOR)


async def _admitted(policy: CallPolicy, *, waited: float) -> ActiveCall:
    """A call that has been in progress for so many seconds; its message has not been sent."""
    task = asyncio.current_task()
    assert task is not None
    connection = policy.connection("ipv4:127.0.0.1:1")
    call = policy.begin(f"/{METHOD}", connection, task, Origin)
    await policy.admit(call, ACCESS[METHOD], None)
    call.started -= waited
    return call


@pytest.mark.parametrize(
    ("waited", "receiving", "closed"),
    [(0, False, True), (2 * RESET_SECONDS, True, True), (2 * RESET_SECONDS, False, False)],
    ids=["reset at once", "message never sent", "given up while waiting for its turn"],
)
async def test_calls_without_a_message_close_the_connection(
    waited: float, receiving: bool, closed: bool
) -> None:
    ended: list[str] = []
    # Its clock stands still: credit is given back with time, and this machine may be busy.
    connections = Connections(ended.append, clock=lambda: 0.0)
    policy = CallPolicy(cast("Keys", None), Principal(1, ""), connections)
    for _ in range(MANY):
        call = await _admitted(policy, waited=waited)
        if receiving:
            async with policy.receiving(call):
                pass
        policy.end_call(call, CANCELLED, None, sent=True)
    assert bool(ended) is closed
    assert policy.in_progress == 0
