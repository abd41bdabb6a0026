"""What callers are told whose calls a stopping server does not finish."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode

from palimpsest.v1.changes_pb2 import WatchChangesRequest
from palimpsest.v1.documents_pb2 import UpsertDocumentRequest
from service.app import running
from service.settings import Settings
from tests.backends.selection import backend_of
from tests.client import Client, Refusal, connected, read_refusal, received, refused
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.processes

REQUEST = UpsertDocumentRequest(content="text", request_id="00000000-0000-4000-8000-000000000001")


async def until_running(client: Client) -> None:
    """Returns once the server works on REQUEST: a repetition is told so."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            try:
                await client.documents.UpsertDocument(REQUEST, timeout=0.5)
            except grpc.RpcError as error:
                if error.code() is StatusCode.DEADLINE_EXCEEDED:
                    continue
                refusal = Refusal()
                read_refusal(error, refusal)
                assert refusal.info.reason == "REQUEST_IN_PROGRESS"
                return


async def test_calls_cut_off_and_calls_without_a_message_are_told_that_the_server_stops(
    directory: Path,
) -> None:
    backend = backend_of(directory)
    settings = Settings(**backend.settings, listen="127.0.0.1:0", drain_grace=0.2)
    stack = AsyncExitStack()
    service = await stack.enter_async_context(running(settings))
    key = service.first_key or ""
    async with connected(service.address, key) as client:
        with backend.hold_writes() as hold:
            method = "/palimpsest.v1.Documents/UpsertDocument"
            metadata = (("authorization", f"Bearer {key}"),)
            upload: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = client.channel.stream_unary(
                method
            )
            unsent = upload(metadata=metadata)
            held_up = asyncio.ensure_future(client.documents.UpsertDocument(REQUEST))
            await until_running(client)

            draining = asyncio.ensure_future(stack.aclose())
            with refused(StatusCode.UNAVAILABLE, "SHUTTING_DOWN"):
                await held_up
            with refused(StatusCode.UNAVAILABLE, "SHUTTING_DOWN"):
                await unsent
            hold.release()
            await draining


async def test_a_stream_of_changes_is_told_that_the_server_stops(directory: Path) -> None:
    stack = AsyncExitStack()
    settings = Settings(**backend_of(directory).settings, listen="127.0.0.1:0")
    service = await stack.enter_async_context(running(settings))
    async with connected(service.address, service.first_key) as client:
        stream = client.changes.WatchChanges(WatchChangesRequest())
        await received(stream)
        draining = asyncio.ensure_future(stack.aclose())
        with refused(StatusCode.UNAVAILABLE, "SHUTTING_DOWN"):
            await received(stream)
        await draining
