"""The long form: `python -m tests.replicas --seconds 600`, claims against rewrites."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.backends import selection
from tests.replicas.contention import contend
from tests.tally import Tally, conclude

SERVERS = 4


async def _run(folder: Path, seconds: int, seed: int, tally: Tally) -> None:
    end = time.monotonic() + seconds
    await contend(
        selection.backend_of(folder), SERVERS, lambda: time.monotonic() < end, seed, tally
    )


def main() -> int:
    """The exit code: 1 when something was held twice, or there was a deadlock."""
    parser = argparse.ArgumentParser(prog="python -m tests.replicas", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    options = parser.parse_args()
    os.environ[selection.VARIABLE] = "postgres"
    tally = Tally("claims", progress=True)
    with (
        tempfile.TemporaryDirectory(prefix="palimpsest-") as folder,
        tally.collecting("databases"),
        selection.closed_after(),
    ):
        asyncio.run(_run(Path(folder), options.seconds, options.seed, tally))
    return conclude(tally)


if __name__ == "__main__":
    sys.exit(main())
