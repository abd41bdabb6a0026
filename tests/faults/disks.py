"""Servers whose disk has no room, or whose database somebody else holds."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from service.settings import database_path
from tests.harness import REPOSITORY, Server, environment, first_key, launch, running_server
from tests.waiting import HANG_SECONDS

MIB = 1024 * 1024
DISK = 64 * MIB
RESERVE = 4 * MIB
"""What a server keeps of such a disk for deletions: one part in sixteen."""


class Disk(Protocol):
    """The disk of a running server."""

    server: Server

    def fill(self) -> None:
        """From now on there is no room for more."""
        ...

    def free(self) -> None:
        """There is room again."""
        ...

    def check(self) -> list[str]:
        """What is wrong with the database on it, while the server runs."""
        ...


class LimitedFiles:
    """A limit on the size of each file, which the system lets any process have."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def fill(self) -> None:
        # Of the log, through which every write goes; the database may be larger.
        log = database_path(self.server.data_dir).with_name("palimpsest.db-wal")
        self._limit(log.stat().st_size)

    def free(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def check(self) -> list[str]:
        return self.server.backend.check()

    def _limit(self, size: int) -> None:
        limits = (size, resource.RLIM_INFINITY)
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, limits)


class TinyDisk:
    """A file system of 64 MiB in memory, which only the server sees."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._ballast = server.data_dir.parent / "ballast"

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            for size in (MIB, 4096):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the service, on this disk."""
        pid = self.server.process.pid
        data_dir = Path("/") / self.server.data_dir.relative_to(f"/proc/{pid}/root")
        enter = ("nsenter", f"--target={pid}", "--user", "--mount", "--preserve-credentials")
        return subprocess.run(
            [*enter, sys.executable, "-m", "service", *arguments, "--data-dir", str(data_dir)],
            cwd=REPOSITORY,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def check(self) -> list[str]:
        # Not of a copy: a checkpoint while the files are copied one by one damages it.
        done = self.run("check")
        return [] if done.returncode == 0 else [f"exit {done.returncode}: {done.stderr}"]


@contextmanager
def limited_files(folder: Path) -> Iterator[Disk]:
    with running_server(folder / "data") as server:
        yield LimitedFiles(server)


@contextmanager
def tiny_disk(folder: Path) -> Iterator[TinyDisk]:
    mount = folder / "disk"
    mount.mkdir()
    script = f'mount -t tmpfs -o size={DISK} tmpfs "$0" && exec "$@"'
    command = [*_NAMESPACE, "sh", "-c", script, str(mount)]
    serve = [
        *(sys.executable, "-m", "service", "serve", "--data-dir", str(mount / "data")),
        *("--disk-reserve", str(DISK)),
    ]
    log = folder / "disk.log"
    process, address = launch([*command, *serve], log)
    seen = Path(f"/proc/{process.pid}/root{mount}") / "data"
    server = Server(process, address, seen, log, first_key(seen))
    try:
        yield TinyDisk(server)
    finally:
        if process.poll() is None:
            server.stop()


_NAMESPACE = ("unshare", "--map-root-user", "--mount")


def can_mount() -> bool:
    """Whether this machine lets its users mount file systems of their own."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    command = [*_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir()]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


DISKS = {
    **({"limited files": limited_files} if hasattr(resource, "prlimit") else {}),
    **({"tiny disk": tiny_disk} if can_mount() else {}),
}
"""Every way to run out of room that this machine has."""


BUSY_SECONDS = 0.5


@contextmanager
def impatient_server(data_dir: Path) -> Iterator[Server]:
    """A server that waits for half a second, not for fifteen, when the database is locked."""
    code = (
        "from service.storage.sqlite import connections\n"
        f"connections.BUSY_SECONDS = {BUSY_SECONDS}\n"
        "from service.cli import main\n"
        "main()"
    )
    log = data_dir.with_suffix(".log")
    process, address = launch(
        [sys.executable, "-c", code, "serve", "--data-dir", str(data_dir)], log
    )
    server = Server(process, address, data_dir, log, first_key(data_dir))
    try:
        yield server
    finally:
        if process.poll() is None:
            server.stop()


class Lock:
    """This process's hold on a database, which lets nobody else write."""

    def __init__(self, data_dir: Path) -> None:
        self._connection = sqlite3.connect(
            database_path(data_dir), isolation_level=None, timeout=HANG_SECONDS
        )

    def take(self) -> None:
        self._connection.execute("BEGIN EXCLUSIVE")

    def release(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()
