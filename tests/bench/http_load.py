"""The client of the benchmark over HTTP: requests built before, on connections that stay open.

It reads no more of an answer than its status and length, so that what is measured is the
server and the wire.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Final, cast

from tests.bench.load import IN_FLIGHT

_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last one is whole."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._received = b""
        self._missing = 0
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._received += data
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._received[:end]
            length = _LENGTH.search(head)
            if not head.startswith(b"HTTP/1.1 2") or length is None:
                self._fail(head)
                return
            self._missing = int(length[1]) - (len(self._received) - end - 4)
            self._received = b""
        if self._missing == 0:
            self.latencies.append(perf_counter() - self._sent_at)
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(b"the connection ended")

    def _fail(self, why: bytes) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(why.decode("latin-1")))


async def _run(address: str, requests: Sequence[bytes], connections: int) -> list[float]:
    host, _, port = address.rpartition(":")
    waiting = iter(requests)
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: _Connection(waiting), host, int(port)))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(each.done for each in made))
    return [latency for each in made for latency in each.latencies]


async def http_rate(address: str, requests: Sequence[bytes], in_flight: int = IN_FLIGHT) -> float:
    """Requests a second on so many connections; any failure is raised."""
    started = perf_counter()
    await _run(address, requests, in_flight)
    return len(requests) / (perf_counter() - started)


async def http_latencies(address: str, requests: Sequence[bytes]) -> list[float]:
    """Seconds of each request, one after the other."""
    return await _run(address, requests, 1)


def request(key: str, verb: str, path: str, body: bytes = b"") -> bytes:
    """The bytes of a request in JSON."""
    head = f"{verb} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body
