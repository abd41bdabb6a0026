"""One of two servers is killed under load, again and again."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.backends.selection import backend_of
from tests.call_counts import calls
from tests.faults.load import Load
from tests.harness import Server
from tests.ports import free_port
from tests.replicas.servers import start_replica, stop
from tests.tally import Report, Tally

pytestmark = pytest.mark.processes

KILLS = 4
SEED = 31


async def test_what_either_server_acknowledged_survives_the_end_of_one(
    tmp_path: Path, report: Report
) -> None:
    tally = Tally("kills of one of two servers")
    report(tally)
    chance, load = random.Random(SEED), Load(SEED)
    backend = backend_of(tmp_path / "data")
    address = f"127.0.0.1:{free_port()}"

    def start(number: int) -> Server:
        return start_replica(backend, address, number=number)

    servers = [await asyncio.to_thread(start, number) for number in range(2)]
    written = [0, 0]
    try:
        for number in range(1, KILLS + 1):
            victim = chance.randrange(2)
            await _run_and_kill(servers, victim, load, chance, written)
            with tally.collecting(f"after kill {number}"):
                # The other one has all that the dead one acknowledged.
                await load.judge(servers[1 - victim])
                await load.settle(servers[1 - victim])
            servers[victim] = await asyncio.to_thread(start, victim)
            load.suffered(tally)
    finally:
        for server in servers:
            await asyncio.to_thread(stop, server)
    tally.findings.extend(f"check: {fault}" for fault in await asyncio.to_thread(backend.check))
    assert tally.findings == []
    assert all(written), f"one of the servers wrote nothing: {written}"


async def _run_and_kill(
    servers: list[Server], victim: int, load: Load, chance: random.Random, written: list[int]
) -> None:
    """Kill a server after a random number of answers; `written` counts calls of both."""
    goal = load.acknowledged + chance.randrange(100, 500)
    stopped = asyncio.Event()

    def answered(count: int) -> None:
        if count >= goal and not stopped.is_set():
            stopped.set()
            for number, server in enumerate(servers):
                written[number] += calls(server)["Documents.UpsertDocument"]
            servers[victim].kill()

    await load.run(servers[0], stop=stopped, answered=answered, connections=8)
    strange = {name for name in load.take_refusals() if not name.startswith("UNAVAILABLE")}
    assert not strange, f"a killed server cannot have said {strange}"
