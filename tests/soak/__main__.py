"""`make soak`: the long forms of the tests, one after the other.

Each part is a program of its own that prints one line about what it did (rounds,
operations, faults, findings) and each finding, and that exits with something
other than 0 when there is one. Parts are chosen, and their amounts set, by name:
`make soak ARGS="races kills=200"`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import Final

from tests.harness import REPOSITORY, environment


@dataclass(frozen=True)
class Part:
    """`python -m COMMAND... OPTION AMOUNT`."""

    name: str
    command: tuple[str, ...]
    option: str
    amount: int


PARTS: Final = {
    part.name: part
    for part in (
        Part("races", ("tests.races",), "--rounds", 50),
        Part("kills", ("tests.faults", "kills"), "--rounds", 50),
        Part("followers", ("tests.faults", "followers"), "--rounds", 20),
        Part("disks", ("tests.faults", "disks"), "--rounds", 20),
        Part("locks", ("tests.faults", "locks"), "--rounds", 20),
        Part("processing", ("tests.faults", "processing"), "--rounds", 25),
        Part("webhooks", ("tests.webhooks",), "--rounds", 20),
        Part("stops", ("tests.faults", "stops"), "--rounds", 20),
        Part("model", ("tests.property",), "--examples", 1000),
        Part("seeded", ("pytest", "-q", "-m", "soak", "tests"), "--maxfail", 1),
        Part("searches", ("tests.finding",), "--examples", 300),
        Part("hostile", ("tests.hostile",), "--rounds", 20),
        Part("schemathesis", ("tests.http.fuzz",), "--seconds", 300),
        Part("siege", ("tests.hostile.siege",), "--seconds", 1800),
        Part("neighbours", ("tests.hostile.neighbours",), "--memories", 30_000),
        Part("deletion", ("tests.deletion",), "--operations", 200_000),
        Part("claims", ("tests.replicas",), "--seconds", 600),
        Part("cancellation", ("tests.cancellation",), "--calls", 10_000),
    )
}


def chosen(text: str) -> Part:
    """The part that `NAME` or `NAME=AMOUNT` asks for."""
    name, _, amount = text.partition("=")
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"there is no {name}; there are {', '.join(PARTS)}")
    if not amount:
        return PARTS[name]
    if not amount.isdigit() or int(amount) < 1:
        raise argparse.ArgumentTypeError(f"{text}: the amount must be a number from 1 on")
    return replace(PARTS[name], amount=int(amount))


def run(part: Part) -> tuple[int, list[str]]:
    """Its exit code, and the lines it printed, which are also shown as they come."""
    lines = []
    with subprocess.Popen(
        [sys.executable, "-m", *part.command, part.option, str(part.amount)],
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line)
    return process.returncode, lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        type=chosen,
        metavar="PART[=AMOUNT]",
        help="; ".join(f"{p.name} ({p.option[2:]}: {p.amount:,})" for p in PARTS.values()),
    )
    parts: list[Part] = parser.parse_args().parts or list(PARTS.values())
    summary, failed = [], []
    for number, part in enumerate(parts, 1):
        sys.stdout.write(f"[{number}/{len(parts)}] {part.name}: {part.amount:,} {part.option}\n")
        sys.stdout.flush()
        began = time.monotonic()
        code, lines = run(part)
        summary += [f"{line.rstrip()} ({time.monotonic() - began:,.0f} s)\n" for line in lines]
        if code != 0:
            failed.append(part.name)
            summary.append(f"{part.name}: FAILED with exit code {code}\n")
    sys.stdout.write("\nWhat was done:\n" + "".join(summary))
    sys.stdout.write(f"\nFAILED: {', '.join(failed)}\n" if failed else "\nAll promises held.\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
