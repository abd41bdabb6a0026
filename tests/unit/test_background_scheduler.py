"""Background work leaves processors to foreground requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from service.pipeline.executors import PREFETCH, BackgroundScheduler
from service.runtime.priority import ForegroundPriority
from tests.waiting import HANG_SECONDS

COUNT = 3
TURNS = 1000
"""Of the event loop: in so many begins whatever waits for nothing else."""


class HeldExecutor:
    """Begins all work that it is given, and ends none before it is released."""

    offloads_now = False

    def __init__(self) -> None:
        self.running = 0
        self.released = asyncio.Event()

    def wake(self) -> None:
        """Nothing: it is always ready."""

    async def run(self, work: Callable[..., Any], *args: Any, **named: Any) -> Any:
        self.running += 1
        await self.released.wait()
        self.running -= 1
        return work(None, *args, **named)


def negated(_: object, items: Sequence[int]) -> list[int]:
    return [-item for item in items]


@pytest.mark.parametrize("busy", [False, True])
async def test_slices_at_once(busy: bool) -> None:
    priority = ForegroundPriority(quiet_seconds=3600.0)
    if busy:
        with priority.foreground():
            pass
    assert priority.busy is busy
    executor = HeldExecutor()
    background = BackgroundScheduler(executor, priority, COUNT)
    mapped = asyncio.ensure_future(background.map(negated, range(20), 1))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert executor.running == (PREFETCH if busy else PREFETCH * COUNT)
    executor.released.set()
    assert await asyncio.wait_for(mapped, HANG_SECONDS) == [-item for item in range(20)]
