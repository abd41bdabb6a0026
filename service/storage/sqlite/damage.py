"""Telling damage of a file from other failures, and going on past it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, NoResultFound

T = TypeVar("T")

HEARTBEAT_SECONDS: Final = 5.0
"""Between two signs of life of a step that takes long."""

_HEARTBEAT_STEPS: Final = 1_000_000
"""Of SQLite's virtual machine, between two looks at the clock: some 10 ms."""

_DAMAGE: Final = (
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
    "SQLITE_IOERR_READ",
    "SQLITE_IOERR_SHORT_READ",
    "SQLITE_IOERR_CORRUPTFS",
    "SQLITE_IOERR_DATA",
)


def damage_of(error: BaseException) -> str | None:
    """What damage an error tells of; None: it is another failure."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return None
    name = getattr(original, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_NOTADB"):
        return "the file is no database, or its first page is damaged"
    if name.startswith("SQLITE_IOERR") and name.startswith(_DAMAGE):
        return "the disk cannot read a part of the file"
    if name.startswith(_DAMAGE):
        return "a page is damaged"
    if name == "SQLITE_ERROR":
        return "a table is not as it was made"
    return None


class Steps:
    """The steps of a long reading: what each found, and that it goes on.

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
        self._raw: Any = conn.connection.driver_connection
        self._tell = tell
        self._clock = clock
        self._name = ""
        self._began = self._told = clock()
        self._rows, self._total = 0, 0
        self.findings: list[str] = []

    def run(self, name: str, work: Callable[[], Iterable[str]], *, total: int = 0) -> bool:
        """Add what `work` finds; a page that it cannot read is a finding, and False.

        Args:
            name: Of the step.
            work: What to do.
            total: Rows that it will say it has seen, see `saw`.
        """

        def gather() -> bool:
            self.findings.extend(work())
            return True

        return self.get(name, gather, total=total) or False

    def get(self, name: str, work: Callable[[], T], *, total: int = 0) -> T | None:
        """What `work` reads; None if that was damaged, which is a finding."""
        found: list[T] = []
        with self._step(name, total):
            found.append(work())
        return found[0] if found else None

    @contextlib.contextmanager
    def _step(self, name: str, total: int) -> Iterator[None]:
        self._name, self._rows, self._total = name, 0, total
        self._began = self._told = self._clock()
        self._tell(name)
        self._raw.set_progress_handler(self._beat, _HEARTBEAT_STEPS)
        try:
            yield
        except (sqlite3.Error, DBAPIError) as error:
            damage = damage_of(error)
            if damage is None:
                raise
            self.findings.append(f"{name}: cannot be checked, {damage}")
        except NoResultFound:
            self.findings.append(f"{name}: a row that must be there is missing")
        finally:
            self._raw.set_progress_handler(None, 0)

    def saw(self, rows: int = 1) -> None:
        self._rows += rows

    def _beat(self) -> int:
        now = self._clock()
        if now - self._told >= HEARTBEAT_SECONDS:
            self._told = now
            done = f"{self._rows:,} of {self._total:,}, " if self._total else ""
            self._tell(f"{self._name}: {done}{now - self._began:.0f} s so far")
        return 0
