"""The long form of the searches' property: `python -m tests.finding --examples 300`."""

from __future__ import annotations

import argparse
import logging
import sys

import structlog

from tests.finding.explore import explore
from tests.tally import Tally, conclude

CHUNK = 25
"""Examples of one seed."""


def soak(examples: int, seed: int) -> Tally:
    """So many examples, in chunks of seeds that follow each other, up to the first finding."""
    tally = Tally("searches")
    while tally.rounds < examples and not tally.findings:
        try:
            explore(tally, examples=CHUNK, seed=seed)
        except AssertionError as finding:
            notes = getattr(finding, "__notes__", ())
            tally.findings.append("\n".join([f"seed {seed}: {finding}", *notes]))
        sys.stderr.write(f"… {tally.line()}\n")
        seed += 1
    return tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.finding", description=__doc__)
    parser.add_argument("--examples", type=int, default=300, help="sequences to try")
    parser.add_argument("--seed", type=int, default=1, help="where to begin; a run is repeatable")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sys.exit(conclude(soak(given.examples, given.seed)))
