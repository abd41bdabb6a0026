"""The long form: `python -m tests.property --examples 2000`."""

from __future__ import annotations

import argparse
import logging
import sys
import time

import structlog

from tests.property.compare import FindingError
from tests.property.explore import explore
from tests.property.lab import open_lab
from tests.property.referee import Tally

CHUNK = 25
"""Examples of one service; then another one begins with an empty database."""


def soak(examples: int, steps: int, seed: int) -> bool:
    """So many sequences, in chunks of seeds that follow each other; True without findings."""
    tally, began = Tally(), time.monotonic()
    while tally.examples < examples:
        try:
            with open_lab() as lab:
                explore(lab, tally, examples=CHUNK, steps=steps, seed=seed)
        except FindingError as finding:
            print(f"seed {seed}: {finding}", *getattr(finding, "__notes__", ()), sep="\n")
            print(f"model: {tally}; found with seed {seed}")
            return False
        seed += 1
        print(f"{time.monotonic() - began:6.0f} s: {tally}", flush=True)
    print(f"model: {tally}, no findings")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="sequences to try")
    parser.add_argument("--steps", type=int, default=50, help="steps of a sequence at most")
    parser.add_argument("--seed", type=int, default=1, help="where to begin; a run is repeatable")
    given = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)
    return 0 if soak(given.examples, given.steps, given.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
