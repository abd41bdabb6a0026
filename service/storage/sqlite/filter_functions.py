"""The function that filters of many conditions call, on SQLite; see `filter_programs`."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from typing import Any, Final

from service.storage import filter_programs
from service.storage.functions import FILTER_FUNCTION

PULSE_ROWS: Final = 8
"""Calls of the function between two checks whether the statement must stop."""


def install(raw: sqlite3.Connection, must_stop: Callable[[], bool] | None = None) -> None:
    """Give a connection the function.

    Args:
        raw: The connection.
        must_stop: Called now and then while a statement runs, in its thread.
    """
    calls = itertools.count(1)

    def holds(number: int, comparable: str | None, *values: Any) -> bool:
        if must_stop is not None and next(calls) % PULSE_ROWS == 0 and must_stop():
            raw.interrupt()
        return filter_programs.holds(number, comparable, values)

    raw.create_function(FILTER_FUNCTION, -1, holds)
