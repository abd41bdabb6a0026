"""The processes that a server begins, as the operating system has them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from service.processes import worker_process as children

SILENCE_SECONDS = 4.0
"""Of a child that hangs: long for one that only has to wait for a processor."""


def hangs_are_soon_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """But a child may take as long as ever to begin."""
    factor = children._BEGINNING * children.SILENCE_SECONDS / SILENCE_SECONDS
    monkeypatch.setattr(children, "_BEGINNING", factor)
    monkeypatch.setattr(children, "SILENCE_SECONDS", SILENCE_SECONDS)


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
