"""kill -9 at random moments under mixed load."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.faults.load import Load
from tests.harness import Server, start_server
from tests.tally import Tally


async def kill_rounds(data_dir: Path, rounds: int, seed: int, tally: Tally) -> None:
    """So many servers on one data directory, each killed; findings go into the tally."""
    chance = random.Random(seed)
    load = Load(seed)
    for number in range(1, rounds + 2):
        server = start_server(data_dir)
        try:
            with tally.collecting(f"seed {seed}, after kill {number - 1}"):
                await load.judge(server)
                await load.settle(server)
            if number > rounds or tally.findings:
                break
            await run_and_kill(server, load, chance)
        finally:
            server.kill()
        load.suffered(tally)
        found = server.backend.check()
        tally.findings.extend(f"seed {seed}, kill {number}, check: {fault}" for fault in found)


async def run_and_kill(server: Server, load: Load, chance: random.Random) -> None:
    """Kill after a random number of answers, or after a random time."""
    if chance.random() < 0.5:
        goal = load.acknowledged + chance.randrange(1, 800)

        def answered(count: int) -> None:
            if count == goal:
                server.kill()

        await load.run(server, answered=answered)
    else:
        asyncio.get_running_loop().call_later(chance.uniform(0.02, 1.5), server.kill)
        await load.run(server)
    strange = {name for name in load.take_refusals() if not name.startswith("UNAVAILABLE")}
    assert not strange, f"a killed server cannot have said {strange}"
