"""What a running service is measured by: its queue, files and processes."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from service.core.errors import PalimpsestError
from service.ports.gauges import Gauge
from service.storage.sqlite.store import SqliteStore

MAX_AGE_SECONDS: Final = 5.0
"""However often they are asked for, they are read no more often than this."""

_ROLES: Final = {"search_worker": "search", "compute_worker": "compute"}
_PROC: Final = Path("/proc")


class ServiceGauges:
    """Reads them; see `ports.gauges`.

    Args:
        store: The storage.
        in_progress: How many calls are being served.
    """

    def __init__(self, store: SqliteStore, in_progress: Callable[[], int]) -> None:
        self._store = store
        self._in_progress = in_progress
        self._read_at = -MAX_AGE_SECONDS
        self._last: Sequence[Gauge] = ()
        self._reading = asyncio.Lock()

    async def read(self) -> Sequence[Gauge]:
        calls = Gauge(
            "calls_in_progress", "Calls being served, streams included", "",
            {"": self._in_progress()},
        )  # fmt: skip
        async with self._reading:
            if monotonic() - self._read_at >= MAX_AGE_SECONDS:
                self._last = await self._read()
                self._read_at = monotonic()
        return (calls, *self._last)

    async def _read(self) -> Sequence[Gauge]:
        gauges = await asyncio.to_thread(lambda: [*_files(self._store.path), *_processes()])
        try:
            waiting, held = await self._store.queue.depth()
        except PalimpsestError:
            return gauges
        depth = {"waiting": float(waiting), "in_work": float(held)}
        return (*gauges, Gauge("queue_documents", "Documents to be processed", "state", depth))


def _files(database: Path) -> Iterator[Gauge]:
    sizes = {}
    for name, path in (("database", database), ("wal", Path(f"{database}-wal"))):
        try:
            sizes[name] = float(path.stat().st_size)
        except OSError:
            continue
    yield Gauge("file_bytes", "Size of the database and of its write-ahead log", "file", sizes)
    try:
        free = shutil.disk_usage(database.parent).free
    except OSError:
        return
    yield Gauge("disk_free_bytes", "Free on the disk of the database", "", {"": float(free)})


def _processes() -> Iterator[Gauge]:
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
