"""Messages of a stream that are not read: bounded like other answers."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from palimpsest.v1.changes_pb2 import Change, WatchChangesResponse
from service.core.model import Principal
from service.ports.store import Keys
from service.rpc.call_runner import READ_SECONDS, CallRunner
from service.rpc.calls import Exchange, RpcCall, StreamCall
from service.rpc.peers import Connections
from service.rpc.policy import PER_BYTE, CallPolicy
from service.rpc.quotas import LIMITS, Resource
from service.runtime.tenant_turns import TenantTurns
from tests.unit.admission import PEER, admitted
from tests.waiting import HANG_SECONDS, until

METHOD: Final = "palimpsest.v1.Changes.WatchChanges"
TENANT: Final = 1
MESSAGE: Final = WatchChangesResponse(changes=[Change(id="x" * 1024 * 1024)])
SIZE: Final = MESSAGE.ByteSize()


class Reader:
    """A caller that reads nothing until the test says so."""

    def __init__(self) -> None:
        self.written = 0
        self.reads = asyncio.Event()
        self.closed: list[str] = []

    async def write(self, _: Any) -> None:
        self.written += 1
        await self.reads.wait()

    async def stream(
        self, read_seconds: float = READ_SECONDS, turns: TenantTurns | None = None
    ) -> StreamCall:
        """A stream of this caller."""
        connections = Connections(self.closed.append)
        policy = CallPolicy(cast("Keys", None), Principal(TENANT, "k"), connections, turns=turns)
        runner = CallRunner(policy, read_seconds)
        active = await admitted(policy, METHOD)
        exchange = cast("Exchange", self)
        call = RpcCall(METHOD, active.principal, exchange, policy.stopping)
        return runner.stream_call(call, active)


async def next_to_another_tenant() -> TenantTurns:
    """Turns by a clock that stands: no call is ever in work for long."""
    turns = TenantTurns(now=lambda: 0.0)
    await turns.begin(TENANT + 1, "call of another tenant")
    return turns


async def send(call: StreamCall) -> None:
    async with call.message(SIZE) as send:
        await send(MESSAGE)


async def test_only_so_many_bytes_of_a_key_are_unread() -> None:
    reader = Reader()
    call = await reader.stream()
    most = LIMITS[Resource.BYTES].key // (SIZE * PER_BYTE)
    sending = [asyncio.create_task(send(call)) for _ in range(most + 3)]
    await until(lambda: reader.written == most)
    assert not any(task.done() for task in sending)

    reader.reads.set()
    await asyncio.gather(*sending)
    assert reader.written == most + 3


async def test_what_is_not_read_in_time_ends_the_connection() -> None:
    reader = Reader()
    sending = asyncio.create_task(send(await reader.stream(read_seconds=0.01)))
    await until(lambda: reader.closed == [PEER])
    reader.reads.set()
    await sending


async def test_a_message_does_not_wait_for_the_turn_of_its_own_call() -> None:
    reader = Reader()
    reader.reads.set()
    async with asyncio.timeout(HANG_SECONDS):
        await send(await reader.stream(turns=await next_to_another_tenant()))
    assert reader.written == 1
