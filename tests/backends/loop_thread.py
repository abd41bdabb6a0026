"""An event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.waiting import HANG_SECONDS

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for callers that have no event loop, or cannot wait in theirs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns; the calling thread waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(HANG_SECONDS)
