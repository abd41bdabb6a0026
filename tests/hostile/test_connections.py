"""Hostile bytes, messages and connections against the real server, which goes on serving.

Its memory stays bounded throughout. In MiB above what it takes when idle, at most:
nothing to speak of for whoever has no key; for each key what as many messages of 16 MiB
and as many bytes of answers take as it may have at once.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Awaitable, Callable, Iterator

import grpc
import pytest

from palimpsest.v1.changes_pb2 import ListChangesRequest
from palimpsest.v1.documents_pb2 import (
    BatchUpsertDocumentsRequest,
    GetDocumentRequest,
    UpsertDocumentRequest,
    WatchDocumentRequest,
)
from service.core.actors import ACTOR
from service.rpc.policy import PER_BYTE
from service.rpc.quotas import LIMITS, Resource
from tests.client import Client, connected
from tests.harness import Server, running_server
from tests.hostile.barrage import throw_bytes
from tests.hostile.peers import (
    PREFACE,
    SETTINGS,
    Headers,
    Memory,
    Peer,
    call_headers,
    dial,
    dialled,
    frame,
    raise_descriptor_limit,
)
from tests.tally import Report, Tally
from tests.waiting import HANG_SECONDS

DOCUMENTS = "/palimpsest.v1.Documents"
UPSERT = f"{DOCUMENTS}/UpsertDocument"
MIB = 1024 * 1024
RECEIVED_AT_ONCE = LIMITS[Resource.MESSAGES].key
HELD_MIB = LIMITS[Resource.BYTES].key // PER_BYTE // MIB
WINDOW = 256 * 1024
"""More than gRPC takes in of a message nobody has asked for."""

STRANGERS_MIB = 160
"""What a thousand connections without a key may cost, their state in gRPC included."""

ONE_KEY_MIB = 600
"""What one key's unread answers may cost: HELD_MIB, in Python and again in gRPC, those being
made beside them, and what they all leave unused in the heap."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    raise_descriptor_limit(8192)
    with running_server(tmp_path_factory.mktemp("hostile") / "data") as running:
        yield running
        log = running.log.read_text()
        assert "unexpected" not in log
        assert "Traceback" not in log


@pytest.fixture(scope="module", autouse=True)
def silent(server: Server) -> Iterator[socket.socket]:
    """A connection that never says a word, opened before all others."""
    with dial(server.address) as opened:
        opened.settimeout(HANG_SECONDS)
        yield opened


async def serves(client: Client) -> None:
    """An honest write and read."""
    made = await client.put("honest", custom_id="honest")
    assert (await client.get(made.id)).content == "honest"


async def test_random_bytes_get_an_answer_with_a_reason(
    server: Server, memory: Memory, report: Report
) -> None:
    tally = Tally("Random and broken bytes as messages of every method")
    report(tally)
    before = memory.peak()
    codes = await throw_bytes(server.address, server.key, seed=1, rounds=120, tally=tally)
    assert not tally.findings, "\n".join(tally.findings)
    # Bytes that are all refused, or all taken, would test one half of the server.
    assert min(codes["OK"], codes["INVALID_ARGUMENT"]) > 100
    assert memory.peak() < before + STRANGERS_MIB


UNPARSED = {"13"}
"""What gRPC itself says of a header that is not of its protocol; no handler is asked."""

STRANGE: dict[str, tuple[Headers, set[str]]] = {
    "no such method": (call_headers(f"{DOCUMENTS}/Nothing"), {"12"}),
    "no such service": (call_headers("/nobody.v1.Nothing/Get"), {"12"}),
    "no method": (call_headers("/"), {"12"}),
    "a path of many parts": (call_headers(UPSERT + "/../GetDocument"), {"12"}),
    "an escaped path": (call_headers("/palimpsest.v1.Documents%2FGetDocument"), {"12"}),
    "a long path": (call_headers("/" + "x" * 9000), {"12", "HTTP none"}),
    "JSON": (
        call_headers(UPSERT, None, (b"content-type", b"application/json")),
        {"HTTP 415", "16"},
    ),
    "HTML": (call_headers(UPSERT, None, (b"content-type", b"text/html")), {"HTTP 415", "16"}),
    "GET": (call_headers(UPSERT, None, (b":method", b"GET")), {"HTTP 405", "HTTP none", "16"}),
    "no TE": (call_headers(UPSERT, None, (b"te", b"")), UNPARSED),
    "a key that is bytes": (call_headers(UPSERT, None, (b"authorization", b"\xff\x01")), {"16"}),
    "an encoding unknown": (call_headers(UPSERT, None, (b"grpc-encoding", b"zip")), UNPARSED),
    "no deadline": (call_headers(UPSERT, None, (b"grpc-timeout", b"never")), UNPARSED),
    "much metadata": (call_headers(UPSERT, None, (b"x", b"y" * 40_000)), {"8", "16"}),
}


@pytest.mark.parametrize("name", STRANGE)
async def test_strange_calls_are_refused(server: Server, name: str) -> None:
    headers, expected = STRANGE[name]
    with Peer(server.address) as peer:
        stream = peer.call(headers, frame(b""))
        assert await asyncio.to_thread(peer.wait, [stream], 10)
        assert peer.status(stream) in expected, peer.headers[stream]
    async with connected(server.address, server.key) as client:
        await serves(client)


ACTORS = {
    "UTF-8": ("Zoë".encode(), {"3"}),
    "bytes": (b"Zo\xeb", {"3"}),
    "a control character": (b"a\x01b", {"3"}),
    "lines": (b"a\r\nauthorization: b", {"3"}),
    "NUL": (b"a\0b", {"3"}),
    "nothing": (b"", {"3"}),
    "too long": (b"x" * 201, {"3"}),
    "all that metadata may be": (b"x" * 7_000, {"3"}),
    "200 KB": (b"x" * 200_000, {"3", "8"}),
}


@pytest.mark.parametrize("name", ACTORS)
async def test_what_can_be_no_actor_is_refused(server: Server, name: str) -> None:
    value, expected = ACTORS[name]
    key = server.create_key("--tenant", f"actor-{name.replace(' ', '-')}")
    request = frame(UpsertDocumentRequest(content="x").SerializeToString())
    with Peer(server.address) as peer:
        stream = peer.call(call_headers(UPSERT, key, (ACTOR.encode(), value)), request)
        assert await asyncio.to_thread(peer.wait, [stream], HANG_SECONDS)
        assert peer.status(stream) in expected, peer.headers[stream]
    async with connected(server.address, key) as client:
        assert not (await client.changes.ListChanges(ListChangesRequest())).changes
        await serves(client)


@pytest.mark.parametrize(
    "body",
    [b"", b"\0", b"\0\0\0\0\x05ab", b"\x02\0\0\0\0", b"\xff" * 300, frame(b"", compressed=True)],
    ids=["none", "cut head", "cut", "unknown flag", "no frame", "compressed by nothing"],
)
async def test_broken_frames_are_refused(server: Server, body: bytes) -> None:
    with Peer(server.address) as peer:
        stream = peer.call(call_headers(UPSERT, server.key), body)
        assert await asyncio.to_thread(peer.wait, [stream], 10)
        assert peer.status(stream) not in ("0", "2"), peer.headers[stream]


async def test_messages_that_are_too_large_are_refused_and_not_kept(
    server: Server, memory: Memory
) -> None:
    before = memory.peak()
    async with connected(server.address, server.key) as client:
        for size in (16 * MIB + 1, 17 * MIB, 40 * MIB):
            items = [UpsertDocumentRequest(content="x" * MIB)] * (size // MIB)
            items.append(UpsertDocumentRequest(content="x" * 64))
            with pytest.raises(grpc.RpcError) as failed:
                await client.documents.BatchUpsertDocuments(
                    BatchUpsertDocumentsRequest(items=items)
                )
            assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    bomb = gzip.compress(bytes(256 * MIB))
    with Peer(server.address) as peer:
        headers = call_headers(UPSERT, server.key, (b"grpc-encoding", b"gzip"))
        stream = peer.call(headers, frame(bomb, compressed=True))
        assert await asyncio.to_thread(peer.wait, [stream], 10)
        assert peer.status(stream) == "12"
    assert memory.peak() < before + STRANGERS_MIB


GARBAGE = {
    "nothing": b"",
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1.1 upgrade": b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "TLS": bytes.fromhex("16030100c5010000c10303") + bytes(180),
    "zeros": bytes(4096),
    "half a preface": PREFACE[:12],
    "a frame of 16 MiB": PREFACE + SETTINGS + b"\xff\xff\xff\x00\x00\0\0\0\x01",
    "data on no stream": PREFACE + SETTINGS + b"\0\0\x01\x00\x00\0\0\0\x07x",
    "headers that are no HPACK": PREFACE + SETTINGS + b"\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff",
    "settings of all kinds": PREFACE + b"\0\0\x06\x04\0\0\0\0\0\0\x04\xff\xff\xff\xff",
    "pings": PREFACE + SETTINGS + (b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)) * 2000,
    "resets": PREFACE + SETTINGS + b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08" * 2000,
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_connections_that_speak_something_else_end_alone(server: Server, name: str) -> None:
    with dial(server.address) as opened:
        opened.sendall(GARBAGE[name])
        async with connected(server.address, server.key) as client:
            await serves(client)


async def test_a_thousand_slow_connections_hold_up_nobody(server: Server, memory: Memory) -> None:
    """Silent ones, half-open ones, and ones with a message that never ends."""
    half_sent = frame(b"x" * 1000, size=16 * MIB)
    before = memory.peak()

    def besiege() -> list[float]:
        with (
            dialled(server.address, b"", 250),
            dialled(server.address, PREFACE[:10], 250),
            dialled(server.address, PREFACE + SETTINGS, 250),
        ):
            peers = [Peer(server.address) for _ in range(250)]
            for peer in peers:
                for key in (None, server.key):
                    peer.call(call_headers(UPSERT, key), half_sent, end=False)
            try:
                return asyncio.run(honest_calls(server.address, others, 100))
            finally:
                for peer in peers:
                    peer.socket.close()

    # A key whose own calls all wait for their turn is not the honest one's.
    others = server.create_key("--tenant", "honest")
    took = await asyncio.to_thread(besiege)

    assert max(took) < HANG_SECONDS
    assert memory.peak() < before + STRANGERS_MIB


async def honest_calls(address: str, key: str, count: int) -> list[float]:
    """Seconds that each of so many writes and reads took."""
    took = []
    async with connected(address, key) as client:
        for _ in range(count):
            started = time.perf_counter()
            await serves(client)
            took.append(time.perf_counter() - started)
    return took


async def test_messages_are_taken_in_only_from_callers_who_are_let_in(
    server: Server, memory: Memory
) -> None:
    size = 2 * MIB
    before = memory.peak()
    with Peer(server.address) as peer:
        for _ in range(100):
            peer.call(call_headers(UPSERT), frame(b"x" * size, size=16 * MIB), end=False)
        assert set(map(peer.status, peer.ended)) == {"16"}
        assert len(peer.ended) == 100
    assert memory.peak() < before + STRANGERS_MIB


async def test_messages_that_arrive_slowly_are_few_at_once(server: Server, memory: Memory) -> None:
    size, extra = MIB, 5
    body = frame(b"x" * size, size=16 * MIB)
    with Peer(server.address) as peer:
        headers = call_headers(UPSERT, server.key)
        left = {peer.call(headers, end=False): body for _ in range(RECEIVED_AT_ONCE + extra)}

        def send() -> int:
            """How many messages were taken in beyond what nobody has asked for."""
            for stream, rest in left.items():
                left[stream] = peer.send(stream, rest, 0.01)
            return sum(len(body) - len(rest) > WINDOW for rest in left.values())

        stop = time.monotonic() + HANG_SECONDS
        while await asyncio.to_thread(send) < RECEIVED_AT_ONCE and time.monotonic() < stop:
            pass
        for _ in range(10):
            assert await asyncio.to_thread(send) == RECEIVED_AT_ONCE
    async with connected(server.address, server.key) as client:
        await serves(client)


async def fill(client: Client, mib: int) -> None:
    for start in range(0, mib, 10):
        items = [
            UpsertDocumentRequest(content="x" * MIB, custom_id=f"large {n}")
            for n in range(start, min(mib, start + 10))
        ]
        await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))


async def test_answers_that_are_never_read_are_held_within_bounds(
    server: Server, memory: Memory
) -> None:
    key = server.create_key("--tenant", "unread")
    async with connected(server.address, key) as client:
        await fill(client, 1)
        before = memory.peak()
        request = frame(GetDocumentRequest(id="large 0").SerializeToString())
        many = HELD_MIB + 100
        with Peer(server.address, acknowledge=False) as peer:
            headers = call_headers(f"{DOCUMENTS}/GetDocument", key)
            streams = [peer.call(headers, request) for _ in range(many)]
            refused = await asyncio.to_thread(await_refusals, peer, 60)
            assert refused, "all answers are held, however many"
            assert {peer.status(stream) for stream in peer.ended} == {"8"}
            assert len(streams) - refused <= HELD_MIB
            assert memory.peak() < before + ONE_KEY_MIB
            other = server.create_key("--tenant", "honest")
            async with connected(server.address, other) as honest:
                await serves(honest)
        await eventually(lambda: serves_large(client))


def await_refusals(peer: Peer, seconds: float) -> int:
    """How many streams have ended once no more of them do."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = len(peer.ended)
        peer.pump(2)
        if before and len(peer.ended) == before:
            break
    return len(peer.ended)


async def serves_large(client: Client) -> None:
    assert len((await client.get("large 0")).content) == MIB


async def eventually(work: Callable[[], Awaitable[None]]) -> None:
    """What a closed connection held is given back soon, not at once."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return await work()
        except grpc.RpcError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def test_a_watcher_that_never_reads_costs_no_more_than_one_that_does(
    server: Server, memory: Memory
) -> None:
    key = server.create_key("--tenant", "watched")
    async with connected(server.address, key) as client:
        # Of such a title a hundred states fill the watcher's window many times over.
        made = await client.put("text", custom_id="watched", title="t" * 1000)
        before = memory.peak()
        request = frame(WatchDocumentRequest(id=made.id).SerializeToString())
        with Peer(server.address, acknowledge=False) as peer:
            for _ in range(100):
                peer.call(call_headers(f"{DOCUMENTS}/WatchDocument", key), request)
            for number in range(100):
                await client.put(f"text {number}", custom_id="watched")
            await asyncio.to_thread(peer.pump, 1)
            await serves(client)
        assert memory.peak() < before + STRANGERS_MIB


async def test_a_connection_that_never_speaks_is_closed(silent: socket.socket) -> None:
    # The server's own settings come first, then the end.
    while await asyncio.to_thread(silent.recv, 4096):
        pass
