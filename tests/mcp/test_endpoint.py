"""`/mcp` as the HTTP server calls it: what ends early, and what fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from google.protobuf.message import Message

from palimpsest.v1.memories_pb2 import GetProfileResponse
from service.http.endpoints import HttpAnswer, HttpRequest
from service.http.mcp import Mcp

HEADERS = {"accept": "application/json", "content-type": "application/json"}


class Rpcs:
    """Answers each call when it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.answer: asyncio.Future[GetProfileResponse] = asyncio.Future()

    async def call(self, method: str, request: Message) -> Any:
        assert method == "Memories.GetProfile"
        self.begun.set()
        try:
            return await asyncio.shield(self.answer)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def context(mcp: Mcp, rpcs: Any) -> asyncio.Task[HttpAnswer]:
    """A call of the tool `context`, begun."""
    [endpoint] = mcp.endpoints()
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "context", "arguments": {}},
    }
    request = HttpRequest({}, {}, HEADERS, json.dumps(call).encode())
    return asyncio.ensure_future(endpoint.handler(rpcs, request))


def text(answer: HttpAnswer) -> str:
    assert answer.status == 200
    said: str = json.loads(answer.body)["result"]["content"][0]["text"]
    return said


@pytest_asyncio.fixture
async def mcp() -> AsyncIterator[Mcp]:
    made = Mcp()
    yield made
    await made.stop()


async def test_first_requests_at_once_are_all_answered(mcp: Mcp) -> None:
    rpcs = [Rpcs() for _ in range(5)]
    tasks = [context(mcp, one) for one in rpcs]
    for number, one in reversed(list(enumerate(rpcs))):
        await one.begun.wait()
        one.answer.set_result(GetProfileResponse(text=f"number {number}"))

    assert [text(answer) for answer in await asyncio.gather(*tasks)] == [
        f"number {number}" for number in range(5)
    ]


async def test_a_caller_that_hangs_up_has_its_call_cancelled(mcp: Mcp) -> None:
    rpcs = Rpcs()
    task = context(mcp, rpcs)
    await rpcs.begun.wait()

    task.cancel()

    await rpcs.cancelled.wait()
    await asyncio.wait((task,))
    assert task.cancelled()


async def test_stopping_ends_what_is_in_progress() -> None:
    mcp, rpcs = Mcp(), Rpcs()
    task = context(mcp, rpcs)
    await rpcs.begun.wait()

    await mcp.stop()

    assert rpcs.cancelled.is_set()
    assert (await task).status >= 500


async def test_stopping_what_was_never_used_does_nothing() -> None:
    await Mcp().stop()


async def test_an_unexpected_failure_is_told_without_its_text(mcp: Mcp) -> None:
    rpcs = Rpcs()
    rpcs.answer.set_exception(RuntimeError("secret"))

    answer = await context(mcp, rpcs)

    assert b"secret" not in answer.body
    assert "INTERNAL" in text(answer)
