"""The client of the benchmark: one event loop that sends requests built before.

Requests and answers are bytes on both sides of every comparison, so that what
is measured is the server and the wire, and as little as can be of the client.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import grpc

IN_FLIGHT = 64

Call = Callable[[bytes], Any]


@dataclass(frozen=True)
class Target:
    """One server, one connection."""

    channel: grpc.aio.Channel
    key: str

    def call(self, method: str) -> Call:
        """Calls `Service/Method` of the contract with the bytes of a request."""
        invoke: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(
            f"/palimpsest.v1.{method}"
        )
        metadata = (("authorization", f"Bearer {self.key}"),)
        return lambda request: invoke(request, metadata=metadata)

    def stream(self, method: str, request: bytes) -> AsyncIterator[bytes]:
        """The messages of a stream, as bytes."""
        invoke: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self.channel.unary_stream(
            f"/palimpsest.v1.{method}"
        )
        return aiter(invoke(request, metadata=(("authorization", f"Bearer {self.key}"),)))


def connect(address: str, key: str = "none") -> Target:
    """A connection that shares nothing with others of this process."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    return Target(grpc.aio.insecure_channel(address, options=options), key)


async def rate(call: Call, requests: Sequence[bytes], in_flight: int = IN_FLIGHT) -> float:
    """Calls a second with so many at once; any failure is raised."""
    waiting = iter(requests)

    async def caller() -> None:
        for request in waiting:
            await call(request)

    started = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(caller())
    return len(requests) / (perf_counter() - started)


async def latencies(call: Call, requests: Iterable[bytes]) -> list[float]:
    """Seconds of each call, one after the other."""
    taken = []
    for request in requests:
        started = perf_counter()
        await call(request)
        taken.append(perf_counter() - started)
    return taken


async def latency(call: Call, requests: Iterable[bytes]) -> float:
    """Median seconds of a call, one at a time."""
    return statistics.median(await latencies(call, requests))


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
