"""`make bench-search`: how fast documents become findable, and how fast they are found.

One client process, one server process; what a figure is compared with is measured
right beside it; medians of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import uvloop

from tests.bench import finding
from tests.bench.__main__ import Measure
from tests.bench.baseline import running_baseline
from tests.bench.load import connect
from tests.bench.report import Row, machine, progress, table

GROUPS = ("pipeline", "search", "felt", "budget")


def groups(options: argparse.Namespace, folder: Path, address: str) -> list[Measure]:
    """What was asked for, in order."""
    empty = connect(address)
    chosen: dict[str, list[Measure]] = {
        "pipeline": [finding.Pipeline(folder / "static", "static", options.documents, 0.5)],
        "search": [
            finding.Search(folder / "10k", empty, 10_000, 8, None),
            finding.Search(folder / "100k", empty, 100_000, 30, 80),
        ],
        "felt": [finding.Felt(folder / "felt", 10_000)],
        "budget": [
            finding.Budget(
                folder / "many",
                options.containers,
                1000,
                options.index_memory * finding.MEGABYTE,
            )
        ],
    }
    if options.onnx is not None:
        embedder = f"onnx:{options.onnx.resolve()}"
        chosen["pipeline"].append(
            finding.Pipeline(folder / "onnx", embedder, options.documents // 25, 0.8)
        )
    return [group for name in options.groups or GROUPS for group in chosen[name]]


async def measure(options: argparse.Namespace, folder: Path, address: str) -> list[Row]:
    measures = groups(options, folder, address)
    for group in measures:
        for number in range(1, options.rounds + 1):
            progress(f"{type(group).__name__.lower()}, round {number} of {options.rounds}")
            await group.round()
    return [row for group in measures for row in group.rows.values()]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.search", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="only these; else all")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--documents", type=int, default=10_000, help="that are processed")
    parser.add_argument("--onnx", type=Path, metavar="FOLDER", help="also process with this model")
    parser.add_argument(
        "--containers",
        type=int,
        default=100,
        help="of 1,000 memories each, for the memory budget (1,000 need minutes)",
    )
    parser.add_argument(
        "--index-memory", type=int, default=64, metavar="MB", help="the budget they share"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 when a promise is missed")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="palimpsest-bench-")))
        empty = stack.enter_context(running_baseline())
        rows = uvloop.run(measure(options, folder, empty))
    sys.stdout.write(f"\n{machine()}\n\n{table(rows)}\n")
    return int(options.strict and not all(row.kept for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
