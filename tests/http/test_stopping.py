"""SIGTERM and kill -9 under load over both transports: what was acknowledged is there."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from tests.client import connected
from tests.harness import Server, running_server, start_server
from tests.http.wire import calling
from tests.waiting import HANG_SECONDS, until

pytestmark = pytest.mark.processes

WRITERS = 8


class Load:
    """Writers over both transports, until they hear that the server is gone.

    Attributes:
        acknowledged: The custom ids of writes that were answered with OK.
        heard: How the calls of HTTP ended, by writer: a status, or "" for a connection that
            ended without an answer.
        ends: The events of the stream.
        codes: How the calls of gRPC ended.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.acknowledged: list[str] = []
        self.heard: list[str] = []
        self.ends: list[bytes] = []
        self.codes: set[grpc.StatusCode] = set()

    async def run(self) -> None:
        writers = [write(number) for number in range(WRITERS) for write in (self._http, self._grpc)]
        await asyncio.gather(self._watch(), *writers)

    async def _http(self, writer: int) -> None:
        async with calling(self._server.http, self._server.key) as caller:
            for number in range(1_000_000):
                name = f"http-{writer}-{number}"
                try:
                    answer = await caller.call(
                        "POST", "/v1/documents", {"content": name, "customId": name}
                    )
                except (ConnectionError, asyncio.IncompleteReadError):
                    self.heard.append("")
                    return
                if answer.status != 200:
                    self.heard.append(f"{answer.status} {answer.headers.get('connection')}")
                    assert await caller.ended() == b""
                    return
                self.acknowledged.append(name)

    async def _grpc(self, writer: int) -> None:
        async with connected(self._server.address, self._server.key) as client:
            for number in range(1_000_000):
                name = f"grpc-{writer}-{number}"
                try:
                    await client.put(name, custom_id=name)
                except grpc.aio.AioRpcError as error:
                    self.codes.add(error.code())
                    return
                self.acknowledged.append(name)

    async def _watch(self) -> None:
        """Streams of a document that stays in the queue."""
        async with calling(self._server.http, self._server.key) as caller:
            await caller.call("POST", "/v1/documents", {"content": "x", "customId": "watched"})
            await caller.send(caller.request("GET", "/v1/documents/watched:watch"))
            await caller.head()
            try:
                while part := await caller.part():
                    self.ends.append(part)
                assert await caller.ended() == b""
            except (ConnectionError, asyncio.IncompleteReadError, ValueError):
                self.ends.append(b"")


async def end_under_load(server: Server, end: Callable[[], Awaitable[None]]) -> Load:
    load = Load(server)
    loading = asyncio.create_task(load.run())
    await until(lambda: len(load.acknowledged) > 100 or loading.done())
    await end()
    async with asyncio.timeout(HANG_SECONDS):
        await loading
    return load


async def all_there(data_dir: Path, load: Load) -> None:
    with running_server(data_dir, "--workers", "0") as server:
        async with calling(server.http, server.key) as caller:
            for name in load.acknowledged:
                answer = await caller.call("GET", f"/v1/documents/{name}")
                assert (answer.status, answer.json["document"]["content"]) == (200, name)


async def test_a_server_that_is_told_to_stop_answers_everybody(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    server = start_server(data_dir, "--workers", "0", "--log-format", "json")

    async def end() -> None:
        server.process.send_signal(signal.SIGTERM)

    load = await end_under_load(server, end)
    assert await asyncio.to_thread(server.process.wait, HANG_SECONDS) == 0
    assert set(load.heard) == {"503 close"}
    assert load.codes == {grpc.StatusCode.UNAVAILABLE}
    assert load.ends[-1].startswith(b"event: error\n")
    assert b"SHUTTING_DOWN" in load.ends[-1]
    lines = server.log.read_text().splitlines()
    assert not [line for line in lines if '"level": "info"' not in line], lines
    await all_there(data_dir, load)


async def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    server = start_server(data_dir, "--workers", "0")

    async def end() -> None:
        await asyncio.to_thread(server.kill)

    load = await end_under_load(server, end)
    await all_there(data_dir, load)
