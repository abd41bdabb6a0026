"""Bringing the database at a path into use: made, migrated, or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from service.storage import dialects, schema
from service.storage.sqlite import high_water, presence
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.database import create_file
from service.storage.sqlite.high_water import HighWaterMark, Mark


@dataclass(frozen=True, slots=True)
class Opened:
    """A database in use.

    Args:
        conn: A connection to it, outside of a transaction.
        before: Its schema's revision until now; None: it was made.
        after: Its schema's revision.
        mark: To be advanced after commits. It stays open; the caller closes it.
    """

    conn: Connection
    before: str | None
    after: str
    mark: HighWaterMark


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """The database at `path`, made or migrated if need be.

    Raises:
        StorageRefusedError: A database has been here and is gone, lacks acknowledged
            changes, or is another program's.
        SchemaTooNewError: A newer release wrote it.
        sqlite3.DatabaseError, OSError: It is no database, is damaged, or cannot be opened.
    """
    left = presence.traces(path)
    presence.ensure_not_lost(path, left)
    mark = high_water.read_mark(path)
    create_file(path)
    with open_sync(path) as conn:
        before, after = transact(conn, lambda conn: _bring_up(conn, path, left, mark))
        now = transact(conn, high_water.standing, "DEFERRED")
        yield Opened(conn, before, after, HighWaterMark(path, now))


@contextlib.contextmanager
def opened_for_command(path: Path) -> Iterator[Opened]:
    """`opened`, for a block that needs the mark no longer than the connection."""
    with opened(path) as database, contextlib.closing(database.mark):
        yield database


def _bring_up(
    conn: Connection, path: Path, left: list[Path], mark: Mark | None
) -> tuple[str | None, str]:
    if schema.version(conn) is None:
        if left:
            raise presence.lost(path, left)
        if dialects.has_tables(conn):
            raise presence.ForeignDatabaseError(
                f"{path} is a database of another program; name another folder"
            )
    elif mark is not None and str(schema.version(conn)) <= schema.HEAD:
        high_water.ensure_not_behind(path, mark, high_water.standing(conn))
    return schema.bring_up(conn)
