"""A call whose message arrives at the moment it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from google.rpc.code_pb2 import UNAVAILABLE
from grpc.aio import AbortError

from palimpsest.v1 import documents_pb2 as d
from service.core.model import Principal
from service.ports.store import Keys
from service.rpc.access import ACCESS
from service.rpc.call_runner import CallRunner
from service.rpc.calls import RpcCall
from service.rpc.grpc_guard import CallGuard
from service.rpc.peers import Connections
from service.rpc.policy import CallPolicy
from tests.waiting import HANG_SECONDS


class Context:
    """A call of which the message is sent when the test says so."""

    def __init__(self) -> None:
        self.read_begun = asyncio.Event()
        self.message: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.answers: list[tuple[int, str]] = []

    async def read(self) -> bytes:
        self.read_begun.set()
        return await self.message

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def abort(self, code: Any, message: str, trailers: Sequence[tuple[str, Any]]) -> None:
        self.answers.append((code.value[0], dict(trailers)["palimpsest-reason"]))
        raise AbortError


async def test_it_has_no_effect() -> None:
    handled = []

    async def handler(call: RpcCall, request: Any) -> Any:
        handled.append(request)
        return d.DeleteDocumentResponse()

    policy = CallPolicy(cast("Keys", None), Principal(1, ""), Connections(lambda _: None))
    method = "/palimpsest.v1.Documents/DeleteDocument"
    guarded = CallGuard(CallRunner(policy)).unary(
        method,
        d.DeleteDocumentRequest.FromString,
        handler,
        ACCESS["palimpsest.v1.Documents.DeleteDocument"],
    )
    context = Context()
    call = asyncio.ensure_future(guarded(None, cast("Any", context)))
    await context.read_begun.wait()
    policy.drain()
    context.message.set_result(d.DeleteDocumentRequest(id="one").SerializeToString())
    with pytest.raises(AbortError):
        await call
    assert handled == []
    assert context.answers == [(UNAVAILABLE, "SHUTTING_DOWN")]
    async with asyncio.timeout(HANG_SECONDS):
        await policy.idle()
