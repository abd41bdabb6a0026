"""Threads of an embedder's own, in which calls take turns."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Workers:
    """A bounded pool of threads for one event loop.

    A call never has more than one piece per thread in the pool, so that a
    single query waits for the pieces at work and not for the batches behind.

    Args:
        threads: How many pieces are at work at once.
        name: Prefix of the threads' names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._turns = asyncio.Semaphore(threads)

    async def map(self, work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
        """What `work` makes of each piece, in their order.

        The first failure ends the call, and so does its cancellation: pieces
        not begun are left, and those begun are finished and dropped.

        Raises:
            Exception: What `work` raised.
        """
        loop = asyncio.get_running_loop()
        waiting = iter(enumerate(pieces))
        results: dict[int, Result] = {}

        async def take_turns() -> None:
            for number, piece in waiting:
                async with self._turns:
                    results[number] = await loop.run_in_executor(self._pool, work, piece)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._threads, len(pieces))):
                    group.create_task(take_turns())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [results[number] for number in range(len(pieces))]

    async def close(self) -> None:
        """Finish the pieces at work, and end the threads."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)


def cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def sliced(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    """The texts in order, `size` at a time."""
    return [texts[start : start + size] for start in range(0, len(texts), size)]
