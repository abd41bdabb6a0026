"""`make bench-trust`: how far what search answers can be trusted, as a table.

First kinds, with rates; then single cases. Behind each stands the goal, and ! before what
misses it. Name some, by the beginnings of their names, to measure these alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.trust.cases import Case, cases
from tests.trust.kinds import Measured, Rate, reached
from tests.trust.table import BY_NAME, KINDS, failures_of, measure

_WIDTH = 32


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("names", nargs="*", help="the beginnings of names; all if none is given")
    parser.add_argument("--failures", type=int, default=0, help="show so many of each rate")
    options = parser.parse_args(arguments)
    names = tuple(name.lower() for name in options.names) or ("",)
    kinds = [kind.name for kind in KINDS if kind.name.lower().startswith(names)]
    chosen = cases(names)
    missed = 0
    _say(" " * _WIDTH + "".join(f"{rate.value:>22}" for rate in Rate))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        measured = pool.map(measure, kinds)
        failures = pool.map(failures_of, [case.name for case in chosen])
        for name, found in zip(kinds, measured, strict=True):
            missed += _show(name, found, options.failures)
        _say("")
        for case, failed in zip(chosen, failures, strict=True):
            missed += _show_case(case, failed, options.failures)
    _say(f"{missed} goals are missed.")
    return 1 if missed else 0


def _show(name: str, found: Measured, failures: int) -> int:
    goals = BY_NAME[name].goals
    cells = []
    missed = 0
    for rate in Rate:
        if (goal := goals.get(rate)) is None:
            cells.append("")
            continue
        share = found.share(rate)
        good = reached(rate, share, goal)
        missed += not good
        sign = ">=" if rate.is_good else "<="
        cells.append(f"{' ' if good else '!'} {100 * share:5.1f} ({sign} {100 * goal:g})")
    _say(f"{name:{_WIDTH}}" + "".join(f"{cell:>22}" for cell in cells))
    for rate in goals:
        for failure in found.failures.get(rate, ())[:failures]:
            _say(f"    {rate.value}: {failure}")
    return missed


def _show_case(case: Case, failed: Sequence[str], failures: int) -> int:
    missed = len(failed) > case.may_fail
    asked = sum(len(shelf.asks) for shelf in case.shelves)
    right = f"{asked - len(failed)} of {asked} (>= {asked - case.may_fail})"
    _say(f"{case.name:{_WIDTH}}{'!' if missed else ' '} {right:>20}: {case.want.value}")
    for failure in failed[:failures]:
        _say(f"    {failure}")
    return missed


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
