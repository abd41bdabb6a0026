"""Hostile callers of all kinds at once, and what one well-behaved caller feels of them.

`python -m tests.hostile.siege --seconds N [--seed S]` is the long form. The attackers are a
process of their own, so that only the server makes the honest caller wait; they hold keys of
their own tenant, or none.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

from palimpsest.v1.changes_pb2 import WatchChangesRequest
from palimpsest.v1.documents_pb2 import (
    GetDocumentRequest,
    ListDocumentsRequest,
    UpsertDocumentRequest,
    WatchDocumentRequest,
)
from palimpsest.v1.memories_pb2 import SearchMemoriesRequest
from tests.client import connected
from tests.harness import REPOSITORY, Server, environment, running_server
from tests.hostile import attacks
from tests.hostile.peers import (
    PREFACE,
    SETTINGS,
    Memory,
    Peer,
    call_headers,
    dial,
    frame,
    raise_descriptor_limit,
)
from tests.tally import Tally, conclude

ATTACKERS: Final = 8
MOST_MIB: Final = 1500
"""What all processes of the server may take together, while two keys hold all they may."""

MOST_SECONDS: Final = 2.0
"""p99 of the honest caller; it would be some milliseconds without the attackers."""

PATIENCE_SECONDS: Final = 60.0
DOCUMENTS: Final = "/palimpsest.v1.Documents"
MIB: Final = 1024 * 1024

Attack = Callable[[str, str | None, random.Random], None]


def compressed(address: str, key: str | None, source: random.Random) -> None:
    attacks.send_compressed(address, key, source.choice(attacks.every_path()), 20)


def watching(address: str, _: str | None, source: random.Random) -> None:
    with attacks.watch_health(address, 500):
        time.sleep(source.random())


def half_sent(address: str, key: str | None, source: random.Random) -> None:
    headers = call_headers(source.choice(attacks.every_path()), key)
    body = frame(source.randbytes(source.randrange(1, 5000)), size=source.randrange(1, 16 * MIB))
    with attacks.open_streams(address, headers, body, 300, end=False):
        time.sleep(source.random())


def not_read(address: str, key: str | None, source: random.Random) -> None:
    method, request = source.choice(
        [
            ("Documents/ListDocuments", ListDocumentsRequest(include_content=True)),
            ("Documents/GetDocument", GetDocumentRequest(id="large")),
            ("Documents/WatchDocument", WatchDocumentRequest(id="large")),
            ("Changes/WatchChanges", WatchChangesRequest(after_revision=0)),
        ]
    )
    with attacks.unread(address, key or "", f"/palimpsest.v1.{method}", request, 200):
        time.sleep(source.random())


def without_a_word(address: str, _: str | None, source: random.Random) -> None:
    opening = source.choice([b"", PREFACE, PREFACE + SETTINGS, source.randbytes(50)])
    with attacks.silent(address, 300, opening):
        time.sleep(source.random())


def resets(address: str, key: str | None, source: random.Random) -> None:
    with Peer(address) as peer:
        attacks.reset_until_closed(peer, source.choice(attacks.every_path()), key, at_most=3)


def reflection(address: str, _: str | None, __: random.Random) -> None:
    attacks.flood_reflection(address, 3)


def wrong_keys(address: str, _: str | None, source: random.Random) -> None:
    with Peer(address) as peer:
        attacks.call_until_closed(peer, f"{DOCUMENTS}/GetDocument", f"pal_{source.random()}", 3)


def random_messages(address: str, key: str | None, source: random.Random) -> None:
    """Any method, any encoding, any size, some of them cut."""
    encodings = [b"identity", b"gzip", b"deflate", b"br", source.randbytes(4)]
    with Peer(address) as peer:
        streams = []
        for _ in range(50):
            if peer.closed:
                return
            body = frame(
                source.randbytes(min(MIB, int(source.expovariate(1 / 2000)))),
                compressed=source.random() < 0.3,
            )
            headers = call_headers(
                source.choice(attacks.every_path()),
                source.choice([key, None]),
                (b"grpc-encoding", source.choice(encodings)),
            )
            streams.append(peer.call(headers, body, end=source.random() < 0.8))
        peer.wait(streams, 2)


def too_large(address: str, key: str | None, source: random.Random) -> None:
    with Peer(address) as peer:
        headers = call_headers(source.choice(attacks.every_path()), key)
        for _ in range(3):
            peer.call(headers, frame(bytes(source.choice([16, 17, 20]) * MIB)))


def garbage(address: str, key: str | None, source: random.Random) -> None:
    for _ in range(20):
        with contextlib.suppress(OSError), dial(address) as end:
            end.sendall(source.choice([b"", PREFACE]) + source.randbytes(2000))


ATTACKS: Final[Sequence[Attack]] = (
    compressed,
    watching,
    half_sent,
    not_read,
    without_a_word,
    resets,
    reflection,
    wrong_keys,
    random_messages,
    too_large,
    garbage,
)


def attack(address: str, keys: Sequence[str], seconds: float, seed: int) -> None:
    """All attackers, for so long."""
    raise_descriptor_limit(16_384)
    stop = time.monotonic() + seconds

    def attacker(number: int) -> None:
        source = random.Random(f"{seed} {number}")
        while time.monotonic() < stop:
            # A server that closes the connection ends an attack; the next one begins.
            with contextlib.suppress(OSError):
                source.choice(ATTACKS)(address, source.choice([None, *keys]), source)

    threads = [threading.Thread(target=attacker, args=(n,)) for n in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass
class Felt:
    """What the honest caller felt: seconds of each call."""

    taken: list[float] = field(default_factory=list)

    def p99(self) -> float:
        ordered = sorted(self.taken)
        return ordered[len(ordered) * 99 // 100]


async def honest(server: Server, key: str, until: Callable[[], bool], tally: Tally) -> Felt:
    """Writes, reads and searches, now and then by a new connection, until told to end."""
    felt = Felt()
    while not until():
        async with connected(server.address, key) as client:
            for number in range(20):
                name = f"honest {number}"

                async def put(name: str = name) -> None:
                    await client.put(name, custom_id=name)

                async def get(name: str = name) -> None:
                    assert (await client.get(name)).content == name

                async def search() -> None:
                    await client.memories.SearchMemories(SearchMemoriesRequest(query="tea"))

                for work in (put, get, search):
                    started = time.perf_counter()
                    with tally.collecting(f"the honest caller's {work.__name__}"):
                        await _in_the_end(work)
                    felt.taken.append(time.perf_counter() - started)
                    tally.operations += 1
    return felt


async def _in_the_end(work: Callable[[], Awaitable[object]]) -> None:
    """A connection that could not be made yet is tried again; nothing else is forgiven."""
    stop = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            await work()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > stop:
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def besiege(server: Server, seconds: float, seed: int, tally: Tally) -> tuple[Felt, Felt]:
    """What the honest caller felt before, and during the attacks."""
    key = server.create_key("--tenant", "honest")
    greedy = [server.create_key("--tenant", f"greedy-{n}") for n in range(2)]
    for one in greedy:
        async with connected(server.address, one) as client:
            await client.documents.UpsertDocument(
                UpsertDocumentRequest(content="x" * MIB, custom_id="large")
            )
    async with connected(server.address, key) as client:
        await client.remember("Ada drinks her tea black.")
    quiet_until = time.monotonic() + min(10.0, seconds / 3)
    quiet = await honest(server, key, lambda: time.monotonic() > quiet_until, tally)
    command = [sys.executable, "-m", "tests.hostile.siege", "--attack", server.address, *greedy]
    attackers = subprocess.Popen(  # noqa: ASYNC220  (begins at once)
        [*command, "--seconds", str(seconds), "--seed", str(seed)],
        cwd=REPOSITORY,
        env=environment(),
    )
    try:
        during = await honest(server, key, lambda: attackers.poll() is not None, tally)
    finally:
        attackers.kill()
        attackers.wait()
    tally.rounds += 1
    return quiet, during


def processes(server: Server) -> Iterator[Memory]:
    """The server's and those it has begun."""
    pid = server.process.pid
    yield Memory(pid)
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield Memory(int(child))


def peak(server: Server) -> float:
    """MiB that all processes of the server took at most, added up."""
    return sum(memory.peak() for memory in processes(server))


def run(seconds: float, seed: int, tally: Tally) -> str:
    """One siege of a server of its own; says what was felt and taken."""
    with (
        tempfile.TemporaryDirectory(prefix="palimpsest-") as folder,
        running_server(Path(folder) / "data") as server,
    ):
        quiet, during = asyncio.run(besiege(server, seconds, seed, tally))
        taken = peak(server)
        if taken > MOST_MIB:
            tally.findings.append(f"the server took {taken:.0f} MiB, more than {MOST_MIB}")
        log = server.log.read_text()
        for word in ("Traceback", "unexpected"):
            if word in log:
                tally.findings.append(f"the log has {word!r}: {log[log.index(word) :][:2000]}")
        if server.process.poll() is not None:
            tally.findings.append(f"the server ended with {server.process.returncode}")
    if during.p99() > MOST_SECONDS:
        tally.findings.append(f"p99 of the honest caller was {during.p99():.2f} s")
    return (
        f"p99 {during.p99() * 1000:.0f} ms ({quiet.p99() * 1000:.0f} ms before), longest "
        f"{max(during.taken):.2f} s, all processes {taken:.0f} MiB at most"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.siege", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--attack", nargs="+", metavar="ADDRESS KEY", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack:
        address, *keys = options.attack
        attack(address, keys, options.seconds, options.seed)
        return 0
    tally = Tally("Hostile callers")
    felt = run(options.seconds, options.seed, tally)
    tally.name += f" ({felt})"
    return conclude(tally)


if __name__ == "__main__":
    sys.exit(main())
