"""What hostile callers do: each attack by itself, for the tests and for the long run.

An attack sends what it has to send within a bounded time, and what it opened stays open
until its block ends.
"""

from __future__ import annotations

import contextlib
import gzip
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.hostile.contract import methods, path_of
from tests.hostile.peers import Headers, Peer, call_headers, dial, frame
from tests.waiting import HANG_SECONDS

CHECK: Final = "/grpc.health.v1.Health/Check"
WATCH: Final = "/grpc.health.v1.Health/Watch"
REFLECT: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
STREAMS: Final = 1000
"""Calls on one connection; the server allows little more."""

ZEROS: Final = bytes(15 * 1024 * 1024)
BOMBS: Final = {b"gzip": gzip.compress(ZEROS), b"deflate": zlib.compress(ZEROS)}


def every_path() -> list[str]:
    """Of all methods, those that need no key included."""
    return [*map(path_of, methods()), CHECK, WATCH, REFLECT]


def send_compressed(address: str, key: str | None, path: str, calls: int) -> Counter[str]:
    """Messages of 15 KB that become 15 MiB; answers how often which status came."""
    statuses: Counter[str] = Counter()
    for encoding in (*BOMBS, b"identity", b"snappy"):
        body = frame(BOMBS.get(encoding, BOMBS[b"gzip"]), compressed=True)
        with Peer(address) as peer:
            headers = call_headers(path, key, (b"grpc-encoding", encoding))
            streams = [peer.call(headers, body) for _ in range(calls // 4)]
            peer.wait(streams, HANG_SECONDS)
            statuses.update(map(peer.status, streams))
    return statuses


@contextlib.contextmanager
def open_streams(
    address: str, headers: Headers, body: bytes, count: int, *, end: bool
) -> Iterator[list[Peer]]:
    """So many calls that go on, on as few connections as carry them; `end` False: half-sent."""
    with contextlib.ExitStack() as stack:
        peers = []
        for start in range(0, count, STREAMS):
            peer = stack.enter_context(Peer(address, acknowledge=False))
            peers.append(peer)
            for _ in range(min(STREAMS, count - start)):
                if not peer.closed:
                    peer.call(headers, body, end=end)
        settle(peers)
        yield peers


def settle(peers: list[Peer], at_most: float = 60.0) -> None:
    """Returns when the server has ended no call for a while, or none of them goes on."""
    stop = time.monotonic() + at_most
    quiet = 0
    while quiet < 5 and time.monotonic() < stop:
        before = sum(len(peer.ended) for peer in peers)
        for peer in peers:
            peer.pump(0)
        time.sleep(0.2)
        quiet = quiet + 1 if sum(len(peer.ended) for peer in peers) == before else 0


def ended_with(peers: list[Peer], status: str, at_least: int) -> int:
    """How many calls the server has ended with a status, once it has so many."""
    stop = time.monotonic() + HANG_SECONDS
    while True:
        for peer in peers:
            peer.pump(0)
        ended = sum(peer.status(stream) == status for peer in peers for stream in peer.ended)
        if ended >= at_least or time.monotonic() > stop:
            return ended
        time.sleep(0.1)


def watch_health(address: str, count: int) -> contextlib.AbstractContextManager[list[Peer]]:
    """Streams that need no key."""
    body = frame(health_pb2.HealthCheckRequest().SerializeToString())
    return open_streams(address, call_headers(WATCH), body, count, end=True)


def unsent(
    address: str, key: str, path: str, count: int
) -> contextlib.AbstractContextManager[list[Peer]]:
    """Calls whose message never comes."""
    return open_streams(address, call_headers(path, key), b"", count, end=False)


def unread(
    address: str, key: str, path: str, request: Message, count: int
) -> contextlib.AbstractContextManager[list[Peer]]:
    """Calls whose answers are not read."""
    body = frame(request.SerializeToString())
    return open_streams(address, call_headers(path, key), body, count, end=True)


@contextlib.contextmanager
def silent(address: str, count: int, opening: bytes = b"") -> Iterator[int]:
    """Connections by which nothing is asked; answers how many could be opened."""
    with contextlib.ExitStack() as stack:
        opened = 0
        for _ in range(count):
            with contextlib.suppress(OSError):
                end = stack.enter_context(dial(address))
                end.sendall(opening)
                opened += 1
        yield opened


def reset_until_closed(peer: Peer, path: str, key: str | None, at_most: float = 60.0) -> bool:
    """Begins calls and resets them at once; answers whether the server closed the connection."""
    stop = time.monotonic() + at_most
    while not peer.closed and time.monotonic() < stop:
        for _ in range(50):
            peer.reset(peer.call(call_headers(path, key), end=False))
        peer.pump(0)
    return peer.closed


def call_until_closed(peer: Peer, path: str, key: str | None, at_most: float = 60.0) -> bool:
    """Calls, and takes the answers, without end."""
    stop = time.monotonic() + at_most
    while not peer.closed and time.monotonic() < stop:
        peer.wait([peer.call(call_headers(path, key), frame(b"")) for _ in range(50)], 5)
    return peer.closed


def flood_reflection(address: str, seconds: float) -> tuple[int, bool]:
    """As many questions as the server takes; answers the bytes of its answers, and whether it
    ended the connection."""
    question = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="palimpsest.v1.Documents"
    )
    body = frame(question.SerializeToString()) * 20
    stop = time.monotonic() + seconds
    with Peer(address) as peer:
        stream = peer.call(call_headers(REFLECT), end=False)
        while not peer.closed and time.monotonic() < stop:
            if stream in peer.ended:
                stream = peer.call(call_headers(REFLECT), end=False)
            peer.send(stream, body, 0.1)
            peer.pump(0)
        return sum(peer.received.values()), peer.closed
