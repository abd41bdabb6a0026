"""Processes of the service, as the system tells of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from service.ports.metrics import Gauge

_ROLES: Final = {"search_worker": "search", "compute_worker": "compute"}
_PROC: Final = Path("/proc")


def process_metrics() -> Iterator[Gauge]:
    """Memory and CPU of this process and of its children, where the system tells it in /proc."""
    memory: dict[str, float] = {}
    seconds: dict[str, float] = {}
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for pid in (os.getpid(), *_children()):
        try:
            role = "server" if pid == os.getpid() else _role(pid)
            resident = int((_PROC / f"{pid}/statm").read_text().split()[1]) * page
            times = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        except (OSError, IndexError):
            continue
        memory[role] = memory.get(role, 0.0) + resident
        seconds[role] = seconds.get(role, 0.0) + sum(map(int, times)) / ticks
    if memory:
        told = "of the server and of its child processes"
        yield Gauge("process_resident_bytes", f"Memory {told}", "process", memory)
        yield Gauge("process_cpu_seconds", f"CPU time {told}, so far", "process", seconds)


def _children() -> Iterator[int]:
    for task in (_PROC / "self/task").glob("*/children"):
        try:
            yield from map(int, task.read_text().split())
        except OSError:
            continue


def _role(pid: int) -> str:
    command = (_PROC / f"{pid}/cmdline").read_bytes().split(b"\0")
    modules = {part.rpartition(b".")[2].decode("ascii", "replace") for part in command}
    return next((_ROLES[name] for name in sorted(modules & _ROLES.keys())), "other")
