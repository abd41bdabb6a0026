"""Hostile callers of the HTTP port: nothing of them stays, and keys are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from service.http.protocol import HEAD_SECONDS, MAX_HEADERS
from tests.harness import Server, running_server
from tests.hostile.peers import Memory, dial, raise_descriptor_limit
from tests.http.wire import Caller, calling
from tests.waiting import HANG_SECONDS, until

MIB = 1024 * 1024

STAYS_MIB = 20
"""What callers without a key may leave behind."""

BODY = b'{"content": "honest", "customId": "honest"}'
HEAD = b"POST /v1/documents HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    raise_descriptor_limit(16_384)
    with running_server(tmp_path_factory.mktemp("hostile") / "data") as running:
        yield running
    log = running.log.read_text()
    assert "unexpected" not in log
    assert "Traceback" not in log
    assert "Exception" not in log
    assert "uvicorn" not in log


async def serves(caller: Caller) -> None:
    """An honest write and read on a connection that is kept."""
    assert (await caller.call("POST", "/v1/documents", BODY)).status == 200
    assert (await caller.call("GET", "/v1/documents/honest")).status == 200


@contextlib.asynccontextmanager
async def honest(server: Server) -> AsyncIterator[list[int]]:
    """A caller that goes on meanwhile, on its connection, and how often it was served."""
    served = [0]
    async with calling(server.http, server.key) as caller:
        await serves(caller)

        async def go_on() -> None:
            while True:
                await serves(caller)
                served[0] += 1
                await asyncio.sleep(0)

        going = asyncio.create_task(go_on())
        try:
            yield served
            done = served[0]
            async with asyncio.timeout(HANG_SECONDS):
                while served[0] < done + 2 and not going.done():
                    await asyncio.wait((going,), timeout=0.05)
        finally:
            going.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await going


def resident(server: Server) -> float:
    return Memory(server.process.pid).now()


def pour(address: str, opening: bytes, part: bytes, total: int) -> bytes:
    """Sends as much as is taken; what was answered."""
    answer = b""
    with dial(address) as opened:
        opened.settimeout(HANG_SECONDS)
        with contextlib.suppress(OSError):
            opened.sendall(opening)
            for _ in range(total // len(part)):
                opened.sendall(part)
        with contextlib.suppress(OSError):
            while data := opened.recv(65_536):
                answer += data
    return answer


Attack = Callable[[Server], Awaitable[None]]


async def huge_heads(server: Server) -> None:
    """200 MB of a header, of headers, and of a path, each."""
    x = b"x" * MIB
    for opening, part in (
        (b"GET /v1/containers HTTP/1.1\r\nx: ", x),
        (b"GET /v1/containers HTTP/1.1\r\n", b"a: b\r\n" * 100_000),
        (b"GET /", x),
        (b"", x),
    ):
        answer = await asyncio.to_thread(pour, server.http, opening, part, 200 * MIB)
        assert not answer or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ")), answer


async def endless_bodies(server: Server) -> None:
    """Bodies without end, whole and in chunks, with no key and with one that is none."""
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    for opening, part in (
        (HEAD + b"content-length: 9999999999\r\n\r\n", b"x" * MIB),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", chunk),
        (HEAD + b"authorization: Bearer x\r\ntransfer-encoding: chunked\r\n\r\n", chunk),
    ):
        answers = await asyncio.gather(
            *(asyncio.to_thread(pour, server.http, opening, part, 100 * MIB) for _ in range(4))
        )
        assert all(not a or a.startswith(b"HTTP/1.1 401 ") for a in answers), answers


async def crowded(server: Server, opening: bytes, more: bytes = b"") -> None:
    """1,000 connections that say this, and then nothing, or more from time to time, and that do
    not read; they are closed after their time."""
    with contextlib.ExitStack() as stack:
        opened: list[socket.socket] = []
        for number in range(1000):
            opened.append(stack.enter_context(dial(server.http)))
            opened[-1].sendall(opening)
            if number % 50 == 0:
                await asyncio.sleep(0)
        begun = time.monotonic()
        waiting = opened
        while waiting:
            assert time.monotonic() < begun + HEAD_SECONDS + HANG_SECONDS
            await asyncio.sleep(0.2)
            waiting = [one for one in waiting if not _over(one, more)]


def _over(one: socket.socket, more: bytes) -> bool:
    """Whether the server has ended a connection; says a little more on it."""
    one.setblocking(False)
    try:
        if more:
            one.send(more)
        while one.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


async def silent_connections(server: Server) -> None:
    await crowded(server, b"")


async def half_open_heads(server: Server) -> None:
    await crowded(server, b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (MAX_HEADERS - 1))


async def trickling_heads(server: Server) -> None:
    await crowded(server, b"GET / HTTP/1.1\r\nx: ", b"y")


async def half_bodies(server: Server) -> None:
    await crowded(server, HEAD + b"content-length: 100000\r\n\r\n" + b"x" * 1000)


async def floods(server: Server) -> None:
    """100,000 requests without a key, sent ahead on one connection after the other."""
    part = b"GET /v1/containers HTTP/1.1\r\nhost: localhost\r\n\r\n" * 90
    for _ in range(40):
        await asyncio.to_thread(pour, server.http, b"", part, len(part) * 28)


ATTACKS: tuple[Attack, ...] = (
    huge_heads,
    endless_bodies,
    silent_connections,
    half_open_heads,
    trickling_heads,
    half_bodies,
    floods,
)


async def test_nothing_stays_of_callers_without_a_key(server: Server) -> None:
    async with calling(server.http, server.key) as caller:
        for _ in range(200):
            await serves(caller)
    for attack in ATTACKS:
        before = resident(server)
        async with honest(server) as served:
            await attack(server)
        assert served[0] > 1, attack.__name__
        assert resident(server) < before + STAYS_MIB, attack.__name__


async def test_there_are_places_for_keys_while_strangers_take_all(server: Server) -> None:
    """More connections than there may be; those without a key make room."""
    with contextlib.ExitStack() as stack:
        refused = 0
        async with honest(server) as served:
            for number in range(5000):
                try:
                    stack.enter_context(dial(server.http))
                except OSError:
                    refused += 1
                if number % 50 == 0:
                    await asyncio.sleep(0)

            async def served_late() -> bool:
                try:
                    async with calling(server.http, server.key) as late:
                        await serves(late)
                except (ConnectionError, asyncio.IncompleteReadError):
                    return False  # Room is made from time to time.
                return True

            await until(served_late)
        assert served[0] > 1
        assert refused < 5000
    async with calling(server.http, server.key) as caller:
        await serves(caller)
