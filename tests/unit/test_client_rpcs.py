"""The RPCs that agents' tools call: repeated where that is safe, and with the server's errors."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from palimpsest.v1.memories_pb2 import (
    CreateMemoriesRequest,
    CreateMemoriesResponse,
    GetMemoryRequest,
    GetMemoryResponse,
)
from palimpsest.v1.memories_pb2_grpc import MemoriesServicer, add_MemoriesServicer_to_server
from service.client.address import parse_address
from service.client.rpcs import ServerRpcs, opened
from service.client.target import Target
from service.core.errors import PalimpsestError, Reason, Violation
from service.mcp.rpcs import UnreachableError

Refusal = tuple[grpc.StatusCode, str, tuple[tuple[str, str | bytes], ...]]
BUSY: Refusal = (grpc.StatusCode.UNAVAILABLE, "busy", ())


class Server(MemoriesServicer):
    """Refuses the first calls."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.refusals: list[Refusal] = []
        self.request_ids: list[str] = []
        self.keys: list[str] = []

    async def CreateMemories(  # noqa: N802  (the contract's)
        self, request: CreateMemoriesRequest, context: Any
    ) -> CreateMemoriesResponse:
        self.request_ids.append(request.request_id)
        self.keys.append(dict(context.invocation_metadata()).get("authorization", ""))
        await self._refuse(context)
        return CreateMemoriesResponse(revision=len(self.request_ids))

    async def GetMemory(  # noqa: N802  (the contract's)
        self, request: GetMemoryRequest, context: Any
    ) -> GetMemoryResponse:
        await self._refuse(context)
        return GetMemoryResponse()

    async def _refuse(self, context: Any) -> None:
        if self.refusals:
            await context.abort(*self.refusals.pop(0))


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder:
        made = Server(f"unix:{Path(folder) / 'socket'}")  # type: ignore[abstract]
        grpc_server = grpc.aio.server()
        add_MemoriesServicer_to_server(made, grpc_server)
        grpc_server.add_insecure_port(made.address)
        await grpc_server.start()
        yield made
        await grpc_server.stop(None)


@pytest_asyncio.fixture
async def rpcs(server: Server) -> AsyncIterator[ServerRpcs]:
    async with opened(Target(parse_address(server.address), "pal_key")) as made:
        yield made


async def test_a_write_is_repeated_as_the_same_request(server: Server, rpcs: ServerRpcs) -> None:
    server.refusals = [BUSY, BUSY]

    answer = await rpcs.call("Memories.CreateMemories", CreateMemoriesRequest())
    await rpcs.call("Memories.CreateMemories", CreateMemoriesRequest())

    assert answer.revision == 3
    first, second, third, other = server.request_ids
    assert first == second == third
    assert str(uuid.UUID(first)) == first
    assert other != first
    assert set(server.keys) == {"Bearer pal_key"}


async def test_a_read_is_repeated_too_and_has_no_request_id(
    server: Server, rpcs: ServerRpcs
) -> None:
    server.refusals = [BUSY]

    assert await rpcs.call("Memories.GetMemory", GetMemoryRequest(id="mem_1"))
    assert not server.refusals


async def test_repeating_has_an_end(server: Server, rpcs: ServerRpcs) -> None:
    server.refusals = [BUSY] * 10

    with pytest.raises(UnreachableError, match="try again"):
        await rpcs.call("Memories.GetMemory", GetMemoryRequest(id="mem_1"))

    assert len(server.refusals) == 6


async def test_a_refusal_has_the_reason_and_the_fields_at_fault(
    server: Server, rpcs: ServerRpcs
) -> None:
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="id: is wrong")
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="id", description="is wrong")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="INVALID_REQUEST"))
    status.details.add().Pack(bad)
    details = rpc_status.to_status(status)
    server.refusals = [
        (
            details.code,
            details.details,
            (*details.trailing_metadata, ("palimpsest-reason", "INVALID_REQUEST")),
        )
    ]

    with pytest.raises(PalimpsestError) as caught:
        await rpcs.call("Memories.GetMemory", GetMemoryRequest(id="mem_1"))

    assert caught.value.reason is Reason.INVALID_REQUEST
    assert caught.value.message == "id: is wrong"
    assert caught.value.violations == (Violation("id", "is wrong"),)


@pytest.mark.parametrize(
    ("code", "trailers", "said"),
    [
        (grpc.StatusCode.INTERNAL, (), r"broken \(INTERNAL\)"),
        (grpc.StatusCode.UNAUTHENTICATED, (("palimpsest-reason", "KEY_INVALID"),), "--key-file"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, (), "too long"),
        (grpc.StatusCode.NOT_FOUND, (("palimpsest-reason", "OF_A_NEWER_SERVER"),), "NOT_FOUND"),
    ],
)
async def test_what_is_no_answer_of_the_service_says_what_to_do(
    server: Server,
    rpcs: ServerRpcs,
    code: grpc.StatusCode,
    trailers: tuple[tuple[str, str | bytes], ...],
    said: str,
) -> None:
    server.refusals = [(code, "broken", trailers)]

    with pytest.raises(UnreachableError, match=said):
        await rpcs.call("Memories.GetMemory", GetMemoryRequest(id="mem_1"))


async def test_methods_that_there_are_not_are_a_mistake_of_the_caller(rpcs: ServerRpcs) -> None:
    for name in ("Nothing.GetMemory", "Memories.Nothing"):
        with pytest.raises((ValueError, KeyError)):
            await rpcs.call(name, GetMemoryRequest())
