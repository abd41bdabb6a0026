"""Letting those who wait for an answer go before those nobody waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 0.005
"""How long a step of background work stands back: it is slowed down, not stopped."""


class Precedence:
    """Searches go before documents.

    Only one thread of Python runs at a time. A search takes the interpreter dozens
    of times, and would each time wait in line behind a thread that never lets go of it.
    """

    def __init__(self) -> None:
        self._waiting = 0
        self._nobody = threading.Event()
        self._nobody.set()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Somebody waits while the block runs; in the event loop."""
        self._waiting += 1
        self._nobody.clear()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._nobody.set()

    def give(self) -> None:
        """Before a step of background work, in its thread: stand back for a moment."""
        self._nobody.wait(PATIENCE_SECONDS)
