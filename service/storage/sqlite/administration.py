"""What the command line does to a database file, whether or not a service process has it open."""

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
from service.storage.administration import Administration
from service.storage.backend import KEYS
from service.storage.dialects import lacks_room
from service.storage.sqlite import backups, high_water, inspection, opening, scrubbing
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.disk_reserve import given_up, room_at
from service.storage.sqlite.key_epoch import KeyEpoch
from service.storage.sqlite.presence import StorageRefusedError

T = TypeVar("T")

_LOG_SECONDS = 60.0
_LOG_PAUSE_SECONDS = 0.05
_REDACT_PAUSE_SECONDS = 0.001


class SqliteAdministration(Administration):
    """The database in one file, which `migrate` and changes make if it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def migrate(self) -> tuple[str | None, str]:
        with opening.opened_for_command(self._path) as opened:
            return opened.before, opened.after

    def check(self, progress: Callable[[str], None]) -> list[str]:
        return inspection.check(self._path, progress)

    def backup(
        self,
        target: Path,
        progress: Callable[[int, int], None],
        verifying: Callable[[str], None],
    ) -> None:
        backups.backup(self._path, target, progress, verifying)

    def scrub(self, progress: Callable[[str], None]) -> str:
        """Rewrite the file without what deletion left in page slack, and empty the WAL.

        Writers wait meanwhile; a busy database raises sqlite3.OperationalError or
        StorageRefusedError, and a disk that has no room for it, not even with the reserve for
        deletions, OSError.
        """
        try:
            self._with_reserve(lambda: self._rewrite(progress))
        except PalimpsestError as error:
            raise OSError(
                errno.ENOSPC, "scrubbing needs free space of twice what the database holds"
            ) from error
        return "Done: what was deleted is gone from the files. Backups made earlier keep it."

    def transact(self, work: Callable[[Connection], T]) -> T:
        with opening.opened_for_command(self._path) as opened:
            return transact(opened.conn, work)

    def change_keys(self, work: Callable[[Connection], T], *, revokes: bool = False) -> T:
        def change() -> T:
            with self._changing_keys() as conn:
                return transact(conn, work)

        return self._with_reserve(change) if revokes else change()

    def on_erased(self, conn: Connection) -> None:
        scrubbing.mark(conn)

    @contextlib.contextmanager
    def _changing_keys(self) -> Iterator[Connection]:
        # Marked before too: if this process dies after its commit, a service process that
        # looked in between has still dropped what it knew.
        with opening.opened_for_command(self._path) as opened, KeyEpoch(self._path) as epoch:
            epoch.advance()
            yield opened.conn
            opened.mark.advance({KEYS: high_water.key_changes(opened.conn)})
            epoch.advance()

    def _with_reserve(self, work: Callable[[], T]) -> T:
        """Do `work`, if need be with the room that a service process keeps for deletions."""
        try:
            return work()
        except Exception as error:
            if not lacks_room(error):
                raise
        with given_up(self._path):
            with open_sync(self._path) as conn, contextlib.suppress(DBAPIError):
                _empty_log(conn, seconds=0)
            return work()

    def _rewrite(self, progress: Callable[[str], None]) -> None:
        with open_sync(self._path) as conn:
            _redact(conn)
            progress("rewriting the database")
            scrubbing.rewrite(conn, room_at(self._path))
            progress("emptying the write-ahead log")
            if not _empty_log(conn):
                raise StorageRefusedError("a reader holds the write-ahead log; run scrub again")


def _redact(conn: Connection) -> None:
    """What a service process would do soon, or has had no time to do."""
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
    """Whether it could be done while a service process reads, writes and checkpoints too."""
    stop = time.monotonic() + seconds
    while True:
        # The bulk first, so that other writers wait for the rest alone.
        conn.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()
        [(busy, *_)] = conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
        if not busy or time.monotonic() > stop:
            return not busy
        # SQLite waits for readers and writers, but not for another checkpoint.
        time.sleep(_LOG_PAUSE_SECONDS)
