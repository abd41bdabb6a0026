"""`make bench`: the promises about speed, measured on this machine.

One client process, one server process; the empty call of a bare grpc.aio server
is 1.0, measured right beside each figure; medians of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import uvloop

from tests.bench import data, measures
from tests.bench.backends import comparing
from tests.bench.baseline import running_baseline
from tests.bench.changes import Changes
from tests.bench.load import connect
from tests.bench.neighbours import Neighbours
from tests.bench.report import Row, machine, progress, table
from tests.bench.transports import Transports
from tests.bench.watching import watching
from tests.bench.webhooks import Webhooks
from tests.harness import Server, running_server

SMALL = 10_000

ALONE = ("--workers", "0", "--scrub-interval", "86400")
"""Calls are measured, not what goes on behind them: `bench-search` measures processing."""


class Measure(Protocol):
    rows: dict[str, Row]

    async def round(self) -> None: ...


async def measure(
    service: Server, empty: str, large: Server | None, options: argparse.Namespace
) -> list[Row]:
    target, other, bare = (
        connect(service.address, service.key),
        connect(service.address, service.key),
        connect(empty),
    )
    progress(f"loading {SMALL:,} documents")
    ids = await measures.fill(target, SMALL, data.FILLED)
    groups: list[Measure] = []
    if large is not None:
        # First, while the small database is still small.
        many = connect(large.address, large.key)
        progress(f"loading {options.large:,} documents into another server")
        many_ids = await measures.fill(many, options.large, data.FILLED)
        groups.append(measures.Size(target, many, [ids, many_ids]))
        groups.append(measures.Depth(many))
    else:
        groups.append(measures.Depth(target))
    groups += [
        measures.Throughput(target, bare, ids),
        measures.Alone(target, bare, ids),
        Transports(target, service.http, ids),
        Changes(target),
        measures.Bulk(target, other, ids),
        Webhooks(service, target),
    ]
    with running_server(options.folder / "neighbours") as shared:
        groups.append(Neighbours(shared, bare))
        async with watching(options.folder / "watching", *ALONE) as watched:
            groups.append(watched)
            await _rounds(groups, options.rounds)
    for connection in (target, other, bare):
        await connection.channel.close()
    rows = [row for group in groups for row in group.rows.values()]
    return rows + await compare_backends(options)


async def compare_backends(options: argparse.Namespace) -> list[Row]:
    """PostgreSQL against SQLite."""
    folder = options.folder / "backends"
    folder.mkdir()
    async with comparing(folder, ALONE) as groups:
        await _rounds(groups, options.rounds)
    return [row for group in groups for row in group.rows.values()]


async def _rounds(groups: Sequence[Measure], rounds: int) -> None:
    for group in groups:
        for number in range(1, rounds + 1):
            progress(f"{type(group).__name__.lower()}, round {number} of {rounds}")
            await group.round()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument(
        "--large",
        type=int,
        nargs="?",
        const=1_000_000,
        metavar="DOCUMENTS",
        help="also compare with a database of so many documents (1,000,000; needs minutes)",
    )
    parser.add_argument(
        "--backends", action="store_true", help="only compare PostgreSQL with SQLite"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 when a promise is missed")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        options.folder = folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="palimpsest-bench-"))
        )
        if options.backends:
            rows = uvloop.run(compare_backends(options))
        else:
            (folder / "watching").mkdir()
            empty = stack.enter_context(running_baseline())
            service = stack.enter_context(running_server(folder / "small", *ALONE))
            large = options.large and stack.enter_context(running_server(folder / "large", *ALONE))
            rows = uvloop.run(measure(service, empty, large or None, options))
    sys.stdout.write(f"\n{machine()}\n\n{table(rows)}\n")
    return int(options.strict and not all(row.kept for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
