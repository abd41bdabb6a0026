"""Bounded concurrency that is shared fairly between calls, with threads or without."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class FairLimiter:
    """Bounds how many items are worked on at once, in one event loop.

    A call never queues more items than may run, so that a single query waits
    for the items in work and not for the batches behind them.

    Args:
        limit: How many items are worked on at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = asyncio.Semaphore(limit)

    async def map(
        self, work: Callable[[Item], Awaitable[Result]], items: Sequence[Item]
    ) -> list[Result]:
        """The results of `work` for each item, in their order.

        The first failure ends the call, and cancels the items in work for it.

        Raises:
            Exception: What `work` raised.
        """
        waiting = iter(enumerate(items))
        results: dict[int, Result] = {}

        async def run_next() -> None:
            for number, item in waiting:
                async with self._free:
                    results[number] = await work(item)

        # No TaskGroup: before Python 3.13 one that is cancelled while its work fails
        # forgets that it was.
        tasks = [asyncio.create_task(run_next()) for _ in range(min(self._limit, len(items)))]
        done: set[asyncio.Task[None]] = set()
        try:
            if tasks:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            if len(done) < len(tasks):
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        failures = [failure for task in done if (failure := task.exception()) is not None]
        if failures:
            raise failures[0]
        return [results[number] for number in range(len(items))]


class EmbedderThreads:
    """Threads that calls share fairly.

    Args:
        threads: How many there are.
        name: Prefix of the threads' names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._limiter = FairLimiter(threads)

    async def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`FairLimiter.map` of a function that blocks.

        If the call ends early, items not begun are left, and those begun are
        finished and their results dropped: a thread cannot be stopped.
        """
        loop = asyncio.get_running_loop()
        return await self._limiter.map(
            lambda item: loop.run_in_executor(self._pool, work, item), items
        )

    async def close(self) -> None:
        """Finish the items in work, and end the threads."""
        await asyncio.to_thread(self._pool.shutdown)


def cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def sliced(texts: Sequence[str], size: int) -> list[list[str]]:
    """The texts in order, `size` at a time."""
    return [list(texts[start : start + size]) for start in range(0, len(texts), size)]
