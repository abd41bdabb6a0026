"""Statements that wait in their thread until a test lets them go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

LIMIT = 15.0
"""Only a failure lasts so long."""


class Gate:
    """Where threads wait."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, LIMIT)


@contextmanager
def held(marker: str = "json_extract") -> Iterator[Gate]:
    """Hold every statement that has the marker, by default those that evaluate a filter."""
    gate = Gate()

    def hold(conn: Any, cursor: Any, statement: str, *_: object) -> None:
        if marker in statement:
            gate.reached.set()
            assert gate.go.wait(LIMIT)

    event.listen(Engine, "before_cursor_execute", hold)
    try:
        yield gate
    finally:
        gate.go.set()
        event.remove(Engine, "before_cursor_execute", hold)
