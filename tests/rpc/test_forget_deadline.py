"""What ForgetMemories does when its caller's deadline ends while the filter is evaluated."""

from __future__ import annotations

import asyncio

import grpc

from palimpsest.v1.filter_pb2 import Condition, Filter
from palimpsest.v1.memories_pb2 import ForgetMemoriesRequest, NewMemory
from tests.client import Client, struct
from tests.gates import held
from tests.inprocess import Service
from tests.waiting import until


async def test_matching_ends_with_the_callers_deadline_and_nothing_is_forgotten(
    service: Service, client: Client
) -> None:
    (made,) = await client.remember(NewMemory(content="x", metadata=struct({"kind": "draft"})))
    draft = Filter(condition=Condition(key="kind", equals_string="draft"))
    request = ForgetMemoriesRequest(filter=draft)
    with held() as gate:
        call = asyncio.ensure_future(client.memories.ForgetMemories(request, timeout=0.5))
        await gate.wait()
        await asyncio.wait((call,))
        error = call.exception()
        assert isinstance(error, grpc.RpcError)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        # The statement is still held when the server has given it up.
        await until(lambda: not service.server.calls_in_progress)
    assert not (await client.memory(made.id)).forgotten
    assert (await client.memories.ForgetMemories(request)).forgotten_count == 1
