"""Backups: a consistent copy, verified, under its name only when it is whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from service.runtime.syncing import sync
from service.storage.administration import DamagedSourceError
from service.storage.sqlite import high_water, presence
from service.storage.sqlite.high_water import Mark
from service.storage.sqlite.inspection import inspect, whole
from service.storage.sqlite.presence import StorageRefusedError
from service.storage.sqlite.read_only import open_untouched

_PAGES_AT_ONCE: Final = 1024

_SIDE_FILES: Final = ("-journal", "-wal", "-shm")


def partial_path(target: Path) -> Path:
    """Where a backup is written until it is whole; what a killed one leaves."""
    return target.with_name(target.name + ".partial")


def backup(
    path: Path,
    target: Path,
    progress: Callable[[int, int], None],
    verifying: Callable[[str], None] = lambda _: None,
) -> None:
    """A consistent and verified copy while others read and write.

    Args:
        path: The database; nothing is written there.
        target: A new file.
        progress: Gets (pages copied, all).
        verifying: Gets a line as each step of the verification begins.

    Raises:
        FileExistsError: `target` is there.
        DamagedSourceError: A page or digest is damaged, or acknowledged changes are missing.
        StorageRefusedError: Another backup writes to `target`, or there is no database.
        OSError: The folder cannot be written.
    """
    if target.exists():
        raise FileExistsError(f"{target} is there already; name a new file")
    presence.ensure_not_lost(path, presence.traces(path))
    mark = high_water.read_mark(path)
    partial = partial_path(target)
    with _reserved(partial):
        findings = whole(path, lambda conn: _copy(conn, partial, progress))
        if not findings:
            findings = _verify(partial, path, mark, verifying)
        if findings:
            raise DamagedSourceError(findings)
        sync(partial)
        _publish(partial, target)
        sync(target.parent)


@contextlib.contextmanager
def _reserved(partial: Path) -> Iterator[None]:
    """An empty file for the copy, of this process alone; what an earlier one left is removed."""
    _remove_left(partial)
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
    try:
        descriptor = os.open(partial, flags, 0o600)
    except FileExistsError as error:
        raise _taken(partial) from error
    try:
        _lock(descriptor, partial)
        try:
            yield
        finally:
            partial.unlink(missing_ok=True)
            _remove_side_files(partial)
    finally:
        os.close(descriptor)


def _remove_left(partial: Path) -> None:
    # Never emptied: one that was killed at the very end is a second name of a whole backup.
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        pass
    else:
        try:
            _lock(descriptor, partial)
            partial.unlink()
        finally:
            os.close(descriptor)
    _remove_side_files(partial)


def _lock(descriptor: int, partial: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _taken(partial) from error
    try:
        same = partial.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        same = False
    if not same:
        raise _taken(partial)


def _taken(partial: Path) -> StorageRefusedError:
    return StorageRefusedError(f"another backup is writing {partial}")


def _remove_side_files(partial: Path) -> None:
    for suffix in _SIDE_FILES:
        partial.with_name(partial.name + suffix).unlink(missing_ok=True)


def _copy(conn: Connection, partial: Path, progress: Callable[[int, int], None]) -> list[str]:
    source: Any = conn.connection.driver_connection
    # The transaction begins with the first read: writers continue, and the copy never starts over.
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as copy:
        # Synced once, when it is whole.
        copy.execute("PRAGMA synchronous=OFF")
        source.backup(
            copy,
            pages=_PAGES_AT_ONCE,
            progress=lambda _, left, total: progress(total - left, total),
        )
        copy.execute("PRAGMA journal_mode=DELETE")
    return []


def _verify(
    partial: Path, path: Path, mark: Mark | None, verifying: Callable[[str], None]
) -> list[str]:
    with open_untouched(partial) as conn:
        return inspect(conn, path, mark, verifying, rows=False)


def _publish(partial: Path, target: Path) -> None:
    """Give the copy its name, unless another file has it by now."""
    try:
        os.link(partial, target)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: the name is taken first, then replaced.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o600))
        partial.replace(target)
