"""What one tenant's filters cost another: `python -m tests.hostile.neighbours [--memories N]`.

Prints how long the calls of a tenant that is left alone take, and how long while another
lists, previews and forgets with filters of 199 conditions that match nothing.
Exits 1 when a 90th percentile is more than TIMES its quiet value and SLACK_SECONDS above it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.filter_pb2 import Condition, Filter, FilterList
from tests.bench.load import percentile
from tests.client import Client, connected, struct
from tests.harness import REPOSITORY, environment, running_server

CONDITIONS = 199
LISTS = 30
FORGETS = 60
FORGET_SECONDS = 4.0
WARM_UP_SECONDS = 2.0
ROUNDS = 40
TIMES = 4
SLACK_SECONDS = 0.05

Probe = Callable[[], Awaitable[object]]
Attack = Callable[[Client], Coroutine[Any, Any, object]]


_numbers = itertools.count()


def expensive() -> Filter:
    """True of nothing, and every condition has to be looked at to say so; never the same."""
    number = next(_numbers)
    tests = (Condition(key="kind", equals_string=f"{number}-{n}") for n in range(CONDITIONS))
    filters = [Filter(condition=test) for test in tests]
    return Filter(any_of=FilterList(filters=filters))


async def fill(client: Client, count: int) -> None:
    """So many memories in one container."""
    metadata = struct({"kind": "fact", "n": 3} | {f"note-{n}": "of no matter" for n in range(30)})
    for start in range(0, count, 1000):
        new = [
            [
                m.NewMemory(content=f"Fact {start + part + n}.", metadata=metadata)
                for n in range(100)
            ]
            for part in range(0, min(1000, count - start), 100)
        ]
        await asyncio.gather(*(client.remember(*part) for part in new))


def probes(client: Client) -> Mapping[str, Probe]:
    numbers = itertools.count()

    async def first_search() -> None:
        container = f"user-{next(numbers)}"
        await client.remember("The harbour is closed.", container=container)
        request = m.SearchMemoriesRequest(query="harbour", container_tags=[container])
        assert (await client.memories.SearchMemories(request)).hits

    return {
        "list documents": lambda: client.documents.ListDocuments(d.ListDocumentsRequest()),
        "list memories": lambda: client.memories.ListMemories(m.ListMemoriesRequest()),
        "create, first search": first_search,
        "create": lambda: client.remember("A fact."),
    }


async def measure(probes: Mapping[str, Probe]) -> dict[str, list[float]]:
    """Seconds that each probe takes, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in probes}
    for _ in range(ROUNDS):
        for name, probe in probes.items():
            started = perf_counter()
            await probe()
            taken[name].append(perf_counter() - started)
    return taken


async def list_all(client: Client) -> None:
    request = m.ListMemoriesRequest(filter=expensive(), page_size=10)
    with suppress(grpc.RpcError):
        await client.memories.ListMemories(request)


async def search(client: Client) -> None:
    request = m.SearchMemoriesRequest(query="harbour", filter=expensive())
    with suppress(grpc.RpcError):
        await client.memories.SearchMemories(request)


def forget(*, preview: bool) -> Attack:
    async def one(client: Client) -> None:
        request = m.ForgetMemoriesRequest(filter=expensive(), validate_only=preview)
        with suppress(grpc.RpcError):
            await client.memories.ForgetMemories(request, timeout=FORGET_SECONDS)

    return one


ATTACKS: Mapping[str, tuple[Attack, int]] = {
    "lists": (list_all, LISTS),
    "searches": (search, LISTS),
    "forgetting": (forget(preview=False), FORGETS),
    "previews": (forget(preview=True), FORGETS),
}


async def attack(address: str, key: str, name: str) -> None:
    """Have so many calls of a kind under way until the process is ended."""
    one, at_once = ATTACKS[name]
    async with connected(address, key) as client:

        async def again() -> None:
            while True:
                await one(client)

        await asyncio.gather(*(again() for _ in range(at_once)))


@asynccontextmanager
async def attacked(address: str, key: str, name: str) -> AsyncIterator[None]:
    """An attacker in a process of its own, for as long as the block runs."""
    command = (sys.executable, "-m", __spec__.name, "--attack", address, key, name)
    process = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, env=environment())
    try:
        await asyncio.sleep(WARM_UP_SECONDS)
        yield
    finally:
        process.kill()
        await process.wait()


def compared(name: str, quiet: Sequence[float], loud: Sequence[float]) -> tuple[str, bool]:
    """A line of figures, and whether the bound holds."""
    low, high = percentile(quiet, 90), percentile(loud, 90)
    holds = high <= TIMES * low or high <= low + SLACK_SECONDS
    figures = f"{low * 1000:8.1f} ms {high * 1000:8.1f} ms {max(loud) * 1000:8.1f} ms"
    return f"  {name:22}{figures}{'' if holds else '  too much'}\n", holds


async def trial(address: str, attacker: str, neighbour: str, memories: int) -> bool:
    """Whether every bound holds."""
    good = True
    async with connected(address, attacker) as one, connected(address, neighbour) as other:
        await fill(one, memories)
        asked = probes(other)
        await measure(asked)
        quiet = await measure(asked)
        for name, (_, at_once) in ATTACKS.items():
            sys.stdout.write(f"{name}, {at_once} at once: quiet p90, p90, longest\n")
            async with attacked(address, attacker, name):
                loud = await measure(asked)
            for probe, taken in loud.items():
                line, holds = compared(probe, quiet[probe], taken)
                sys.stdout.write(line)
                good = good and holds
            sys.stdout.flush()
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.neighbours", description=__doc__)
    parser.add_argument("--memories", type=int, default=30_000)
    parser.add_argument("--attack", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack:
        asyncio.run(attack(*options.attack))
    with (
        tempfile.TemporaryDirectory(prefix="palimpsest-") as folder,
        running_server(Path(folder) / "data") as server,
    ):
        neighbour = server.create_key("--tenant", "neighbour")
        good = asyncio.run(trial(server.address, server.key, neighbour, options.memories))
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
