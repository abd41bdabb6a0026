"""How tests wait."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final

HANG_SECONDS: Final = 120.0
"""What has not come by then never will.

Far more than anything takes on a slow machine whose processors are all busy: a test that
waits this long has failed, and none passes or fails by how long something took.
"""


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until the condition holds; fails after HANG_SECONDS."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            held = condition()
            if inspect.isawaitable(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], bool]) -> None:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.02)
