"""The long form: `python -m tests.webhooks --rounds 20` kills a server so often as it delivers."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.tally import Tally, conclude
from tests.webhooks.kills import kill_rounds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.webhooks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often it is killed")
    parser.add_argument("--seed", type=int, help="repeats what a run of this seed did")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    tally = Tally(f"webhooks, seed {seed}", progress=True)
    with tempfile.TemporaryDirectory(prefix="palimpsest-webhooks-") as folder:
        asyncio.run(kill_rounds(Path(folder) / "data", options.rounds, seed, tally))
    return conclude(tally)


if __name__ == "__main__":
    sys.exit(main())
