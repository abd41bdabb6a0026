"""The long form: `python -m tests.property --examples 2000`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.property.compare import FindingError
from tests.property.explore import explore
from tests.property.model_comparison import Tally
from tests.property.sync_harness import running_sync_harness

CHUNK = 25
"""Examples of one service; then another one begins with an empty database."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def soak(examples: int, steps: int, seed: int) -> bool:
    """So many sequences, in chunks of seeds that follow each other; True without findings."""
    tally, began = Tally(), time.monotonic()
    while tally.examples < examples:
        try:
            with running_sync_harness() as harness:
                explore(harness, tally, examples=CHUNK, steps=steps, seed=seed)
        except FindingError as finding:
            say(f"seed {seed}: {finding}")
            for note in getattr(finding, "__notes__", ()):
                say(note)
            say(f"model: {tally}; found with seed {seed}")
            return False
        seed += 1
        say(f"{time.monotonic() - began:6.0f} s: {tally}")
    say(f"model: {tally}, no findings")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="sequences to try")
    parser.add_argument("--steps", type=int, default=50, help="steps of a sequence at most")
    parser.add_argument("--seed", type=int, default=1, help="where to begin; a run is repeatable")
    given = parser.parse_args()
    return 0 if soak(given.examples, given.steps, given.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
