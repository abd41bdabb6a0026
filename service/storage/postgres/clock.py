"""PostgreSQL's clock: the one that all processes on a database go by."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from service.core.times import WallClock, system_clock

RENEWAL_SECONDS: Final = 60.0
"""After so long a measurement is taken again, as clocks drift."""

_NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8"


class DatabaseClock(WallClock):
    """A clock of this process, set by that of PostgreSQL.

    Args:
        source: The wall clock of this process, in microseconds.
        elapsed: Seconds since an arbitrary start; cannot be set.
    """

    def __init__(
        self,
        source: Callable[[], int] = system_clock,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(self._corrected, elapsed)
        self._source = source
        self._offset = 0
        self._error: float = float("inf")
        """Seconds by which the offset may be wrong."""
        self._measured = 0.0

    def _corrected(self) -> int:
        return self._source() + self._offset

    @property
    def due(self) -> bool:
        """Whether it is time to measure again."""
        return self.elapsed() - self._measured >= RENEWAL_SECONDS or self._error == float("inf")

    def measure(self, conn: Connection) -> None:
        """Compare the clocks: PostgreSQL's answer is taken for the middle of its round trip."""
        began, before = self.elapsed(), self._source()
        there = int(conn.exec_driver_sql(_NOW).scalar_one())
        after, ended = self._source(), self.elapsed()
        error = (ended - began) / 2
        if self.due or error < self._error:
            self._offset = there - (before + after) // 2
            self._error, self._measured = error, ended
