"""Room on the disk that is kept for deletions.

Deleting needs room as well: the log grows by every page that a transaction overwrites.
A file of a fixed size stands next to the database. Writes that add continue only while it has
its size, so that they never use the room it reserves. A transaction that deletes and
finds the disk full truncates the file, and the file gets its size back when there is room.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LARGEST_SHARE: Final = 16
"""On a small file system the reserve has no more than one part in so many."""

_ZEROS: Final = bytes(1024 * 1024)


def room_at(path: Path) -> int:
    """Bytes that a file next to `path` can still take."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize


class DiskReserve:
    """The reserve of the database at `path`; used from any thread.

    Args:
        path: The database.
        size: Bytes of the reserve. None: what another process has made, to give it up only.
    """

    def __init__(self, path: Path, size: int | None) -> None:
        name = path.with_name(path.name + ".reserve")
        self._path = path
        self._file = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._users = 0
        self.size = 0
        if size is not None:
            found = os.statvfs(path.parent)
            self.size = min(size, found.f_blocks * found.f_frsize // LARGEST_SHARE)
            if os.fstat(self._file).st_size > self.size:
                os.ftruncate(self._file, self.size)
            # Also fills the holes of a file that was copied.
            self._grow(self.size)

    def held(self, size: int) -> bool:
        """Whether so many bytes are reserved."""
        return os.fstat(self._file).st_size >= size

    def make(self, size: int) -> bool:
        """Reserve so many bytes if there is room and no deletion uses it; whether they are."""
        if self.held(size):
            return True
        if self._users:
            return False
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            missing = size - os.fstat(self._file).st_size
            return room_at(self._path) >= missing and self._grow(size)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _grow(self, size: int) -> bool:
        before = os.fstat(self._file).st_size
        try:
            _allocate(self._file, size)
        except OSError:
            os.ftruncate(self._file, before)
            return False
        return True

    def lend(self) -> None:
        """Give up one half."""
        if self.held(self.size // 2):
            os.ftruncate(self._file, self.size // 2)

    @contextlib.contextmanager
    def given_up(self) -> Iterator[None]:
        """Inside, deletions have the room: no process makes the reserve again."""
        # If another process does the same, the room is there as well.
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._users += 1
        try:
            os.ftruncate(self._file, 0)
            yield
        finally:
            self._users -= 1
            if not self._users:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)


def _allocate(file: int, size: int) -> None:
    if size == 0:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
        else:
            return
    for start in range(0, size, len(_ZEROS)):
        os.pwrite(file, _ZEROS[: size - start], start)


@contextlib.contextmanager
def given_up(path: Path) -> Iterator[None]:
    """Inside, the reserve of the database at `path` is given up, whichever process has made it."""
    reserve = DiskReserve(path, None)
    try:
        with reserve.given_up():
            yield
    finally:
        reserve.close()
