"""What processes cost, as the operating system counts it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_USER, _SYSTEM = 11, 12
"""Fields of /proc/PID/stat after the name of the command."""


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of processes that run; of one that has ended, none."""
    return sum(map(_ticks, pids)) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(fields[_USER]) + int(fields[_SYSTEM])


def with_children(pid: int) -> list[int]:
    """A process and all that it, or one of them, has begun."""
    found = [pid]
    for known in found:
        try:
            children = Path(f"/proc/{known}/task/{known}/children").read_text()
        except FileNotFoundError:
            continue
        found += map(int, children.split())
    return found
