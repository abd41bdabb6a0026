"""Statements that wait until a test lets them go on."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine
from sqlalchemy.util import await_only

LIMIT = 15.0
"""Only a failure lasts so long."""


class Gate:
    """Where statements wait."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()

    async def wait(self) -> None:
        """Returns when a statement has come."""
        assert await asyncio.to_thread(self.reached.wait, LIMIT)

    def pass_through(self, conn: Connection) -> None:
        """Called by a statement, or by what issues some: returns when the gate is open."""
        self.reached.set()
        block(conn, self.go)


def block(conn: Connection, until: threading.Event) -> None:
    """Wait where the connection's statements run: in a thread, or in the event loop."""
    if conn.dialect.is_async:
        assert await_only(asyncio.to_thread(until.wait, LIMIT))
    else:
        assert until.wait(LIMIT)


_FILTER: Final = "json_extract|filter_holds|comparable ->"
"""What a statement has that evaluates a filter, on either backend."""


@contextmanager
def held(pattern: str = _FILTER) -> Iterator[Gate]:
    """Hold every statement in which the pattern is found, by default those with a filter."""
    gate = Gate()

    def hold(conn: Connection, cursor: Any, statement: str, *_: object) -> None:
        if re.search(pattern, statement):
            gate.pass_through(conn)

    event.listen(Engine, "before_cursor_execute", hold)
    try:
        yield gate
    finally:
        gate.go.set()
        event.remove(Engine, "before_cursor_execute", hold)
