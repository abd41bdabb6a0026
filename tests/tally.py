"""What a long test did, in one line, the same for its quick form and for the soak."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass
class Tally:
    """Counts of one part of the tests.

    Args:
        name: What was done.
        faults: What was inflicted on the service: kills, full disks, signals.
        findings: Promises that were seen broken, each told so that it can be repeated.
        progress: Whether to say after each round how far it is.
    """

    name: str
    rounds: int = 0
    operations: int = 0
    faults: int = 0
    findings: list[str] = field(default_factory=list)
    progress: bool = False

    def round_done(self) -> None:
        """One more round; shown on the error stream if progress is asked for."""
        self.rounds += 1
        if self.progress:
            sys.stderr.write(f"… {self.line()}\n")

    def line(self) -> str:
        return (
            f"{self.name}: {self.rounds:,} rounds, {self.operations:,} operations, "
            f"{self.faults:,} faults, {len(self.findings):,} findings"
        )

    @contextmanager
    def collecting(self, where: str) -> Iterator[None]:
        """Turns an error of the block into a finding, so that the rounds go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  (whatever it is, it is a finding)
            trace = traceback.extract_tb(error.__traceback__)[-1]
            self.findings.append(
                f"{where}: {type(error).__name__} at {trace.filename}:{trace.lineno}: {error}"
            )


Report: TypeAlias = Callable[[Tally], None]
"""Takes the tally that a run of the tests is to print at its end."""


def conclude(*tallies: Tally) -> int:
    """Prints them, findings last; the exit code of a soak."""
    for tally in tallies:
        sys.stdout.write(tally.line() + "\n")
    for tally in tallies:
        for finding in tally.findings:
            sys.stdout.write(f"FINDING {tally.name}: {finding}\n")
    return int(any(tally.findings for tally in tallies))
