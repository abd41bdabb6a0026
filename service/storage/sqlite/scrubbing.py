"""Scrubbing: rewriting the database without what deletion left in page slack.

Deleted rows and freed pages are overwritten (`secure_delete`), but when rows move
between pages, copies can stay in the unused part of a page. Only a rewrite of the
file removes those. Writers wait for it, about a second for 100 MB.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from service.core.times import SECOND
from service.core.windows import DailyWindow
from service.storage.sqlite.room import storage_full

_QUIET: Final = SECOND
"""How long no write must have happened before a scrub, as long as it can be put off."""

_SHARE: Final = 100
"""A scrub that took a second is followed by none for so many: writers lose 1 % at most."""

_MARKED: Final = 1


IN_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Of a database that is copied in memory where the disk has no room for the copy."""

_OVERHEAD: Final = 1.05
"""What a page takes up in the log, against its size, and some for the rest."""


def rewrite(conn: Connection, room: int) -> None:
    """Rewrite the file, outside of a transaction; the WAL holds the old pages still.

    What is in use goes through a copy and then through the WAL. The copy is a
    temporary file, so that memory stays bounded, unless `room`, the bytes that the
    disk can take, is too little for both and there is not much in use.

    Raises:
        PalimpsestError: STORAGE_FULL; nothing was tried, as it would fill the disk.
    """
    used = in_use(conn) * _OVERHEAD
    copied = room >= 2 * used
    if not copied and (room < used or used > IN_MEMORY_BYTES):
        raise storage_full()
    conn.exec_driver_sql(f"PRAGMA temp_store={'FILE' if copied else 'MEMORY'}")
    try:
        conn.exec_driver_sql("VACUUM")
    finally:
        conn.exec_driver_sql("PRAGMA temp_store=MEMORY")


def in_use(conn: Connection) -> int:
    """Bytes of the pages that are not free."""
    [pages, free, size] = [
        int(conn.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    ]
    return (pages - free) * size


def mark(conn: Connection) -> None:
    """Note, in the transaction that deletes, that a scrub is due: a restart finds it."""
    if not marked(conn):
        conn.exec_driver_sql(f"PRAGMA user_version={_MARKED}")


def marked(conn: Connection) -> bool:
    return bool(conn.exec_driver_sql("PRAGMA user_version").scalar_one() == _MARKED)


def unmark(conn: Connection) -> None:
    conn.exec_driver_sql("PRAGMA user_version=0")


class Schedule:
    """When to scrub. Instants are microseconds.

    Args:
        interval: Seconds from a deletion to the scrub after it, at least.
        window: When a database of `limit` bytes and more is scrubbed, once each day; a smaller
            one is scrubbed whenever it is due.
        limit: In bytes.
    """

    def __init__(self, interval: float, window: DailyWindow | None, limit: int) -> None:
        self._interval = round(interval * SECOND)
        self._window = window
        self._limit = limit
        # Of the first deletion since the last scrub.
        self._erased: int | None = None
        self._written = 0
        self._ended = 0
        self._pause = self._interval

    @property
    def pending(self) -> bool:
        """Whether something was deleted since the last scrub."""
        return self._erased is not None

    def wrote(self, now: int, *, erased: bool) -> None:
        """A transaction was committed, and deleted something or not."""
        self._written = now
        if erased and self._erased is None:
            self._erased = now

    def due(self, now: int, size: int) -> bool:
        """Whether a database of `size` bytes is to be scrubbed now."""
        # What lies ahead was noted by a clock that has been set back since.
        self._ended, self._written = min(self._ended, now), min(self._written, now)
        if self._erased is None:
            return False
        self._erased = min(self._erased, now)
        if size >= self._limit:
            opened = self._window.opened(now) if self._window else None
            return opened is not None and self._ended < opened
        waited = now - self._erased
        if waited < self._interval or now - self._ended < self._pause:
            return False
        return now - self._written >= _QUIET or waited >= 2 * self._pause

    def unscheduled(self, size: int) -> bool:
        """Whether something was deleted that no scrub will come for by itself."""
        return self.pending and size >= self._limit and self._window is None

    def begin(self) -> None:
        """A scrub begins: what is deleted from now on is for the next one."""
        self._erased = None

    def end(self, now: int, seconds: float) -> None:
        """It is done, and took so long."""
        self._ended = now
        self._pause = max(self._interval, round(seconds * _SHARE * SECOND))

    def failed(self, now: int) -> None:
        """It came to nothing, and is to be tried again after the interval."""
        self._erased = now
