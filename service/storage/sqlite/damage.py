"""Telling damage of a file from other failures, and going on past it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service.storage.dialects import error_name
from service.storage.steps import Steps

_HEARTBEAT_STEPS: Final = 1_000_000
"""Of SQLite's virtual machine, between two reads of the clock: some 10 ms."""

_DAMAGE: Final = (
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
    "SQLITE_IOERR_READ",
    "SQLITE_IOERR_SHORT_READ",
    "SQLITE_IOERR_CORRUPTFS",
    "SQLITE_IOERR_DATA",
)


def damage_of(error: BaseException) -> str | None:
    """The damage that an error reports; None: it is another failure."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return None
    name = error_name(error)
    if name.startswith("SQLITE_NOTADB"):
        return "the file is no database, or its first page is damaged"
    if name.startswith("SQLITE_IOERR") and name.startswith(_DAMAGE):
        return "the disk cannot read a part of the file"
    if name.startswith(_DAMAGE):
        return "a page is damaged"
    if name == "SQLITE_ERROR":
        return "a table is not as it was made"
    return None


class SqliteSteps(Steps):
    """Steps of reading a file: a damaged page is a finding.

    Args:
        conn: What is read.
        tell: Gets a line as each step begins, and every HEARTBEAT_SECONDS of a long one.
        clock: Seconds.
    """

    def __init__(
        self,
        conn: Connection,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(tell, clock)
        self._raw: Any = conn.connection.driver_connection

    def damage(self, error: Exception) -> str | None:
        return damage_of(error)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        def beat() -> int:
            self.beat()
            return 0

        self._raw.set_progress_handler(beat, _HEARTBEAT_STEPS)
        try:
            yield
        finally:
            self._raw.set_progress_handler(None, 0)
