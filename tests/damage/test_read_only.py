"""`check` and `backup` of databases where nothing can be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from service import cli
from service.storage.sqlite.read_only import ChangedMeanwhileError, open_untouched
from tests.damage.conftest import TEXTS
from tests.damage.planting import check, flip, places
from tests.faults.disks import can_mount
from tests.harness import REPOSITORY, environment

Run = Callable[..., "subprocess.CompletedProcess[str]"]

_ADDED = 7


def _run(prefix: list[str], arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "service", *arguments],
        cwd=REPOSITORY,
        env=environment() | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def _mounted(data: Path) -> Iterator[Run]:
    """The folder as a file system that takes no writes, of the command alone."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(data)]
    yield lambda *arguments: _run(prefix, arguments)


@contextmanager
def _protected(data: Path) -> Iterator[Run]:
    """The folder and its files without the right to write, for somebody who is not root."""
    for file in data.iterdir():
        file.chmod(0o400)
    data.chmod(0o500)
    try:
        yield lambda *arguments: _run([] if os.geteuid() else _BOUND, arguments)
    finally:
        data.chmod(0o700)
        for file in data.iterdir():
            file.chmod(0o600)


_DROP = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PR_CAPBSET_DROP = 24
for capability in range(64):
    libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_BOUND = [sys.executable, "-c", _DROP]
"""Starts a command as root without root's right to pass over modes."""


WAYS: dict[str, Callable[[Path], AbstractContextManager[Run]]] = {
    **({"mounted read-only": _mounted} if can_mount() else {}),
    **({"without the right": _protected} if os.geteuid() or sys.platform == "linux" else {}),
}


def test_there_is_a_way_to_have_a_read_only_folder() -> None:
    assert WAYS


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[[Path], AbstractContextManager[Run]]:
    return WAYS[request.param]


def _with_log(data: Path, *, shared_memory: bool) -> None:
    """The files of a server that was killed: its last writes are in the log alone."""
    database = data / "palimpsest.db"
    live = data.parent / "live"
    shutil.copytree(data, live)
    with closing(sqlite3.connect(live / "palimpsest.db", isolation_level=None)) as conn:
        conn.execute("PRAGMA wal_autocheckpoint=0")
        for number in range(_ADDED):
            conn.execute("INSERT INTO embedders VALUES (?, ?, 4)", (100 + number, f"e{number}"))
        for suffix in ("", "-wal", *(["-shm"] if shared_memory else [])):
            shutil.copy(f"{live / 'palimpsest.db'}{suffix}", f"{database}{suffix}")


def _state(data: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in data.iterdir()}


STATES: dict[str, Callable[[Path], None]] = {
    "closed": lambda data: None,
    "killed": lambda data: _with_log(data, shared_memory=True),
    "killed, without its shared memory": lambda data: _with_log(data, shared_memory=False),
}


@pytest.mark.parametrize("state", STATES)
def test_it_is_checked_and_backed_up_where_nothing_can_be_written(
    data: Path, tmp_path: Path, way: Callable[[Path], Iterator[Run]], state: str
) -> None:
    STATES[state](data)
    before = _state(data)
    target = tmp_path / "backup"
    with way(data) as run:  # type: ignore[attr-defined]
        checked = run("check", "--data-dir", str(data))
        assert (checked.returncode, checked.stdout) == (0, "All is well.\n"), checked.stderr
        copied = run("backup", "--data-dir", str(data), str(target))
        assert copied.returncode == 0, copied.stderr
    assert _state(data) == before
    assert check(target) == []
    with closing(sqlite3.connect(target)) as conn:
        [(count,)] = conn.execute("SELECT count(*) FROM embedders WHERE id >= 100")
    assert count == (0 if state == "closed" else _ADDED)


@pytest.mark.parametrize("state", STATES)
def test_damage_is_found_there_too(
    data: Path, way: Callable[[Path], Iterator[Run]], state: str
) -> None:
    STATES[state](data)
    database = data / "palimpsest.db"
    flip(database, places(database, TEXTS["title"].encode())[0])
    with way(data) as run:  # type: ignore[attr-defined]
        checked = run("check", "--data-dir", str(data))
        assert checked.returncode == cli.FINDINGS, checked.stderr
        copied = run("backup", "--data-dir", str(data), str(data.parent / "backup"))
        assert copied.returncode == cli.FINDINGS, copied.stderr
    assert not (data.parent / "backup").exists()


def test_a_folder_that_takes_no_backup_is_told_in_words(
    data: Path, way: Callable[[Path], Iterator[Run]]
) -> None:
    with way(data) as run:  # type: ignore[attr-defined]
        done = run("backup", "--data-dir", str(data), str(data / "backup"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "backup.partial" in done.stderr


def test_commands_that_write_say_why_they_cannot(
    data: Path, way: Callable[[Path], Iterator[Run]]
) -> None:
    with way(data) as run:  # type: ignore[attr-defined]
        for command in (("scrub",), ("keys", "create"), ("serve", "--listen", "127.0.0.1:0")):
            done = run(*command, "--data-dir", str(data))
            assert done.returncode == 1
            assert "Traceback" not in done.stderr
            assert "owner and the mode" in done.stderr or "Read-only" in done.stderr, done.stderr


def test_a_server_that_begins_meanwhile_is_noticed(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a folder that only this reader may not write."""
    from service.storage.sqlite import read_only as reading

    attempt = reading._attempt

    def refuse(path: Path, options: str, *pragmas: str) -> sqlite3.Connection:
        if options == "mode=rw":
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorname = "SQLITE_CANTOPEN"
            raise error
        return attempt(path, options, *pragmas)

    monkeypatch.setattr(reading, "_attempt", refuse)
    with open_untouched(database) as conn:
        conn.exec_driver_sql("/* check */ SELECT count(*) FROM documents").all()

    def read_while_another_writes() -> None:
        with open_untouched(database) as conn:
            conn.exec_driver_sql("/* check */ SELECT count(*) FROM documents").all()
            with closing(sqlite3.connect(database, isolation_level=None)) as other:
                other.execute("UPDATE tenants SET last_time = last_time + 1")

    with pytest.raises(ChangedMeanwhileError):
        read_while_another_writes()
