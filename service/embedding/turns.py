"""Bounded concurrency in which calls take turns, with threads or without."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Turns:
    """Lets a limited number of pieces of work run at once, in one event loop.

    A call never waits with more pieces than may run, so that a single query
    waits for the pieces at work and not for the batches behind them.

    Args:
        limit: How many pieces run at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = asyncio.Semaphore(limit)

    async def map(
        self, work: Callable[[Piece], Awaitable[Result]], pieces: Sequence[Piece]
    ) -> list[Result]:
        """What `work` makes of each piece, in their order.

        The first failure ends the call, and cancels what is at work for it.

        Raises:
            Exception: What `work` raised.
        """
        waiting = iter(enumerate(pieces))
        results: dict[int, Result] = {}

        async def take_turns() -> None:
            for number, piece in waiting:
                async with self._free:
                    results[number] = await work(piece)

        # No TaskGroup: before Python 3.13 one that is cancelled while its work fails
        # forgets that it was.
        tasks = [asyncio.create_task(take_turns()) for _ in range(min(self._limit, len(pieces)))]
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
        return [results[number] for number in range(len(pieces))]


class Workers:
    """Turns in threads of their own.

    Args:
        threads: How many pieces run at once.
        name: Prefix of the threads' names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._turns = Turns(threads)

    async def map(self, work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
        """`Turns.map` of a function that blocks.

        If the call ends early, pieces not begun are left, and those begun are
        finished and dropped: a thread cannot be stopped.
        """
        loop = asyncio.get_running_loop()
        return await self._turns.map(
            lambda piece: loop.run_in_executor(self._pool, work, piece), pieces
        )

    async def close(self) -> None:
        """Finish the pieces at work, and end the threads."""
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
