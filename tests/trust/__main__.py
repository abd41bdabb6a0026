"""`make bench-trust`: how far what search answers can be trusted, as a table.

First kinds, with rates; then single cases. Behind each stands the goal, and ! before what
misses it. Name some, by the beginnings of their names, to measure these alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.trust.cases import cases
from tests.trust.kinds import Kind, Rate, reached
from tests.trust.table import KINDS

_WIDTH = 30


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("names", nargs="*", help="the beginnings of names; all if none is given")
    parser.add_argument("--failures", type=int, default=0, help="show so many of each rate")
    options = parser.parse_args(arguments)
    names = tuple(name.lower() for name in options.names) or ("",)
    missed = 0
    _say(" " * _WIDTH + "".join(f"{rate.value:>22}" for rate in Rate))
    for kind in KINDS:
        if kind.name.lower().startswith(names):
            missed += _show(kind, options.failures)
    _say("")
    for case in cases(names):
        failures = case.failures()
        bad = len(failures) > case.may_fail
        missed += bad
        asked = sum(len(shelf.asks) for shelf in case.shelves)
        right = f"{asked - len(failures)} of {asked} (>= {asked - case.may_fail})"
        _say(f"{case.name:{_WIDTH}}{'!' if bad else ' '} {right:>20}: {case.want.value}")
        for failure in failures[: options.failures]:
            _say(f"    {failure}")
    _say(f"{missed} goals are missed.")
    return 1 if missed else 0


def _show(kind: Kind, failures: int) -> int:
    found = kind.measure()
    cells = []
    missed = 0
    for rate in Rate:
        if (goal := kind.goals.get(rate)) is None:
            cells.append("")
            continue
        share = found.share(rate)
        good = reached(rate, share, goal)
        missed += not good
        sign = ">=" if rate.is_good else "<="
        cells.append(f"{' ' if good else '!'} {100 * share:5.1f} ({sign} {100 * goal:g})")
    _say(f"{kind.name:{_WIDTH}}" + "".join(f"{cell:>22}" for cell in cells))
    for rate in kind.goals:
        for failure in found.failures.get(rate, ())[:failures]:
            _say(f"    {rate.value}: {failure}")
    return missed


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
