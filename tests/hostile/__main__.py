"""The long form of random bytes: `python -m tests.hostile --rounds N [--seed S]`.

One round is 1,000 calls of every method. Exits 1 when there are findings.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.harness import running_server
from tests.hostile.barrage import throw_bytes
from tests.hostile.peers import Memory
from tests.tally import Tally

CALLS = 1000
PEAK_MIB = 512


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally = Tally("Random and broken bytes as messages of every method")
    with (
        tempfile.TemporaryDirectory(prefix="palimpsest-") as folder,
        running_server(Path(folder) / "data") as server,
    ):
        for number in range(options.rounds):
            seed = options.seed + number
            asyncio.run(throw_bytes(server.address, server.key, seed, CALLS, tally))
        peak = Memory(server.process.pid).peak()
        if peak > PEAK_MIB:
            tally.findings.append(f"the server took {peak:.0f} MiB, more than {PEAK_MIB}")
    sys.stdout.write(f"{tally.line()}, {peak:.0f} MiB at most\n")
    sys.stdout.writelines(f"  {finding}\n" for finding in tally.findings)
    return bool(tally.findings)


if __name__ == "__main__":
    sys.exit(main())
