"""The processes that a server begins, as the operating system has them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from service.processes.worker_process import DEFAULT_OPTIONS, ProcessOptions

HEARTBEAT_TIMEOUT = 4.0
"""Long for a process that only has to wait for a processor."""

NOTICE_HANGS_SOON = ProcessOptions(
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    # But a process may take as long as ever to start.
    startup_factor=DEFAULT_OPTIONS.startup_factor
    * DEFAULT_OPTIONS.heartbeat_timeout
    / HEARTBEAT_TIMEOUT,
)


def running(pid: int) -> bool:
    """Whether a process does anything; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid: int, module: ModuleType) -> list[int]:
    """Those among the processes that a process has begun that run a module."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    name = module.__name__.encode()
    return [int(child) for child in children if name in _command(int(child))]


def _command(pid: int) -> bytes:
    """What a process was begun with; of one that has ended, nothing."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
