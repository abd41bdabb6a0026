"""Progress while measuring, and a table at the end."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path


@dataclass
class Row:
    """One promise. `values` are compared with `target`, one for each round.

    Args:
        name: What was measured.
        target: What is promised of the median; None: nothing, it is told for comparison.
        at_most: The promise is an upper bound instead of a lower one.
        unit: What the values are; "" for a ratio.
    """

    name: str
    target: float | None = None
    at_most: bool = False
    unit: str = ""
    values: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def kept(self) -> bool:
        if self.target is None:
            return True
        return self.median <= self.target if self.at_most else self.median >= self.target

    def add(self, value: float, note: str) -> None:
        self.values.append(value)
        self.notes.append(note)
        progress(f"  {self.name}: {self.shown(value)}  ({note})")

    def shown(self, value: float) -> str:
        if not self.unit:
            return f"{value:.2f}"
        return f"{value:,.0f} {self.unit}" if value >= 100 else f"{value:.1f} {self.unit}"

    def cells(self) -> tuple[str, ...]:
        middle = self.notes[self.values.index(statistics.median_low(self.values))]
        promise = verdict = ""
        if self.target is not None:
            promise = f"{'≤' if self.at_most else '≥'} {self.shown(self.target)}"
            verdict = "kept" if self.kept else "MISSED"
        spread = f"{self.shown(min(self.values))} to {self.shown(max(self.values))}"
        return (
            self.name,
            self.shown(self.median),
            promise,
            verdict,
            spread,
            middle,
        )


def progress(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def table(rows: Sequence[Row]) -> str:
    """Markdown, as the README takes it."""
    head = ("what", "median", "promise", "verdict", "spread", "in the median round")
    cells = [head, *(row.cells() for row in rows if row.values)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def machine() -> str:
    """When and where this was measured."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [li for li in info.read_text().splitlines() if li.startswith("model name")]
        cpu = models[0].partition(": ")[2] if models else cpu
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} × {cpu}, "
        f"Python {platform.python_version()}, grpcio {version('grpcio')}, "
        f"SQLite {sqlite3.sqlite_version}"
    )
