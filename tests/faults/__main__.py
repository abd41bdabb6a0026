"""The long form of the faults: `python -m tests.faults kills --rounds 50`."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.faults.disks import DISKS, can_mount
from tests.faults.emptying import full_disk_emptied
from tests.faults.followers import follower_rounds
from tests.faults.kills import kill_rounds
from tests.faults.outages import full_disk, locked_database
from tests.faults.processing import processing_rounds
from tests.faults.stops import stop_rounds
from tests.tally import Tally, conclude

Inflict: TypeAlias = Callable[[Path, int, int, Tally], Coroutine[Any, Any, None]]
"""Takes an empty folder, rounds, a seed, and the tally to count in."""


async def full_disks(folder: Path, rounds: int, seed: int, tally: Tally) -> None:
    """Every way to run out of room that this machine has."""
    for name in DISKS:
        place = folder / name.replace(" ", "-")
        place.mkdir()
        await full_disk(name, place, rounds, seed, tally)
    if can_mount():
        place = folder / "emptied"
        place.mkdir()
        await full_disk_emptied(place, rounds, seed, tally)


FAULTS: Final[dict[str, Inflict]] = {
    "kills": lambda folder, *rest: kill_rounds(folder / "data", *rest),
    "followers": lambda folder, *rest: follower_rounds(folder / "data", *rest),
    "disks": full_disks,
    "locks": locked_database,
    "processing": lambda folder, *rest: processing_rounds(folder / "data", *rest),
    "stops": lambda folder, *rest: stop_rounds(folder / "data", *rest),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("fault", choices=FAULTS)
    parser.add_argument("--rounds", type=int, default=50, help="how often it is inflicted")
    parser.add_argument("--seed", type=int, help="repeats what a run of this seed did")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    tally = Tally(options.fault, progress=True)
    with tempfile.TemporaryDirectory(prefix="palimpsest-faults-") as folder:
        asyncio.run(FAULTS[options.fault](Path(folder), options.rounds, seed, tally))
    return conclude(tally)


if __name__ == "__main__":
    sys.exit(main())
