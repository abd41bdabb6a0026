"""Opening a database that is to be left as it is, whatever it lies on.

Reading a database with a write-ahead log needs a file of shared memory next to it. Where
none can be made (a read-only medium, another owner's folder) there are two ways: without a
log the file is all there is, and is read as it lies; with one, its index is kept in this
process. Neither takes locks: no server can be at work there, or the file would be there.
Should one begin meanwhile, that is noticed at the end.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection

from service.storage.dialects import error_name
from service.storage.sqlite.connections import BUSY_SECONDS, engine_on
from service.storage.sqlite.presence import StorageRefusedError

_UNREACHABLE = ("SQLITE_CANTOPEN", "SQLITE_READONLY")


class ChangedMeanwhileError(StorageRefusedError):
    """The files were written by another process while they were read without locks."""


@contextlib.contextmanager
def open_untouched(path: Path) -> Iterator[Connection]:
    """A connection that writes nothing to the database at `path`, in this thread.

    Texts that are not UTF-8 are read with surrogate escapes.

    Raises:
        ChangedMeanwhileError: At the end; what was read may be of several states.
        sqlite3.DatabaseError: It is no database, is damaged, or cannot be read.
    """
    raw, alone = _connected(path)
    engine = engine_on(raw)
    before = _stamps(path)
    try:
        with engine.connect() as conn:
            yield conn
    finally:
        engine.dispose()
        raw.close()
    if alone and _stamps(path) != before:
        raise ChangedMeanwhileError(
            f"{path} was written while it was read, by a server elsewhere; try again"
        )


def _connected(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection, and whether it reads without locks."""
    try:
        return _attempt(path, "mode=rw"), False
    except sqlite3.OperationalError as error:
        if not error_name(error).startswith(_UNREACHABLE) or not path.is_file():
            raise
        log = path.with_name(path.name + "-wal")
        if log.is_file() and log.stat().st_size:
            return _attempt(path, "mode=ro&vfs=unix-none", "PRAGMA locking_mode=EXCLUSIVE"), True
        return _attempt(path, "mode=ro&immutable=1"), True


def _attempt(path: Path, options: str, *pragmas: str) -> sqlite3.Connection:
    raw = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{options}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for pragma in (*pragmas, "PRAGMA query_only=ON", "PRAGMA temp_store=MEMORY"):
            raw.execute(pragma)
        raw.execute("PRAGMA cache_size=-32768")
        raw.text_factory = _text
        # Opens the file, and the log if there is one.
        raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        raw.close()
        raise
    return raw


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _stamps(path: Path) -> list[tuple[int, int] | None]:
    stamps: list[tuple[int, int] | None] = []
    for suffix in ("", "-wal"):
        file = path.with_name(path.name + suffix)
        try:
            stat = file.stat()
        except FileNotFoundError:
            stamps.append(None)
        else:
            stamps.append((stat.st_size, stat.st_mtime_ns))
    return stamps
