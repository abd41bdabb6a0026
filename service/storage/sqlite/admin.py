"""What the command line does to a database, with or without a server on it."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service.core.digests import Digester
from service.core.errors import PalimpsestError
from service.storage import change_log, schema
from service.storage.backend import KEYS
from service.storage.dialects import lacks_room
from service.storage.sqlite import high_water, opening, scrubbing
from service.storage.sqlite.backups import backup
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.disk_reserve import given_up, room_at
from service.storage.sqlite.inspection import check
from service.storage.sqlite.key_epoch import KeyEpoch
from service.storage.sqlite.opening import Opened
from service.storage.sqlite.presence import StorageRefusedError

T = TypeVar("T")

__all__ = [
    "backup",
    "change_keys",
    "check",
    "migrate",
    "scrub",
]

_LOG_SECONDS = 60.0
_LOG_PAUSE_SECONDS = 0.05
_REDACT_PAUSE_SECONDS = 0.001


def migrate(path: Path) -> tuple[str | None, str]:
    """Make or migrate the schema: (revision before, revision now)."""
    with opening.opened_for_command(path) as opened:
        return opened.before, opened.after


@contextlib.contextmanager
def _changing_keys(path: Path) -> Iterator[Opened]:
    # Marked before too: if this process dies after its commit, a server that
    # looked in between has still dropped what it knew.
    with opening.opened_for_command(path) as opened, KeyEpoch(path) as epoch:
        epoch.advance()
        yield opened
        opened.mark.advance({KEYS: high_water.key_changes(opened.conn)})
        epoch.advance()


def change_keys(path: Path, work: Callable[[Connection], T], *, frees: bool = False) -> T:
    """Run `work`, which changes keys, in a transaction.

    Args:
        path: The database.
        work: What to do.
        frees: It may use the room that a server keeps for deletions.
    """

    def change() -> T:
        with _changing_keys(path) as opened:
            return transact(opened.conn, work)

    return _with_reserve(path, change) if frees else change()


def _with_reserve(path: Path, work: Callable[[], T]) -> T:
    """Do `work`, if need be with the room that a server keeps for deletions."""
    try:
        return work()
    except Exception as error:
        if not lacks_room(error):
            raise
    with given_up(path):
        with open_sync(path) as conn, contextlib.suppress(DBAPIError):
            _empty_log(conn, seconds=0)
        return work()


def scrub(path: Path, progress: Callable[[str], None]) -> None:
    """Rewrite the file without what deletion left in page slack, and empty the WAL.

    Writers wait meanwhile; a busy database raises sqlite3.OperationalError or
    StorageRefusedError, and a disk that has no room for it, not even with the reserve for
    deletions, OSError.
    """

    def rewrite() -> None:
        with open_sync(path) as conn:
            _redact(conn)
            progress("rewriting the database")
            scrubbing.rewrite(conn, room_at(path))
            progress("emptying the write-ahead log")
            if not _empty_log(conn):
                raise StorageRefusedError("a reader holds the write-ahead log; run scrub again")

    try:
        _with_reserve(path, rewrite)
    except PalimpsestError as error:
        raise OSError(
            errno.ENOSPC, "scrubbing needs free space of twice what the database holds"
        ) from error


def _redact(conn: Connection) -> None:
    """What a server would do soon, or has had no time to do."""
    # Another release's database is rewritten as it is.
    if schema.version(conn) != schema.HEAD or not change_log.unredacted(conn):
        return
    digester = Digester(schema.digest_secret(conn))

    def redact(conn: Connection) -> bool:
        scrubbing.mark(conn)
        return change_log.redact(conn, digester)

    while transact(conn, redact):
        time.sleep(_REDACT_PAUSE_SECONDS)


def _empty_log(conn: Connection, seconds: float = _LOG_SECONDS) -> bool:
    """Whether it could be done while a server reads, writes and checkpoints too."""
    stop = time.monotonic() + seconds
    while True:
        # The bulk first, so that a server's writers wait for the rest alone.
        conn.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()
        [(busy, *_)] = conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
        if not busy or time.monotonic() > stop:
            return not busy
        # SQLite waits for readers and writers, but not for another checkpoint.
        time.sleep(_LOG_PAUSE_SECONDS)
