"""Where computation runs, so that the event loop stays responsive."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import chain
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from service.embedding.limiter import FairLimiter
from service.pipeline.encoder import IndexEncoder
from service.runtime.priority import ForegroundPriority

P = ParamSpec("P")
T = TypeVar("T")
In = TypeVar("In")
Out = TypeVar("Out")


PREFETCH = 2
"""Slices given to one worker at a time: when it has done one, the next is already there."""


class ComputeExecutor(Protocol):
    """Runs functions that need an `IndexEncoder`, and supplies the encoder."""

    @property
    def offloads_now(self) -> bool:
        """Whether work would run outside this interpreter, and begin at once."""
        ...

    def wake(self) -> None:
        """Work is about to be submitted: get ready."""
        ...

    async def run(
        self, work: Callable[Concatenate[IndexEncoder, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `work`, a function of a module, with an encoder and the arguments.

        Raises:
            WorkerDiedError: The processes that ran it ended before it returned.
            Exception: What `work` raised.
        """
        ...


class ThreadExecutor:
    """Runs work in threads of this process: only one of them runs at a time."""

    def __init__(self, encoder: IndexEncoder, threads: Executor) -> None:
        self._encoder = encoder
        self._threads = threads

    @property
    def offloads_now(self) -> bool:
        return False

    def wake(self) -> None:
        """Nothing: threads are always ready."""

    async def run(
        self, work: Callable[Concatenate[IndexEncoder, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, lambda: work(self._encoder, *args, **kwargs)
        )


class BackgroundScheduler:
    """Runs work that no caller waits for in slices, between which other work has its turn.

    Args:
        executor: Where the work runs.
        priority: Says when foreground requests are running.
        workers: How many workers the executor has.
        busy_workers: How many of them are used while foreground requests, which need
            processors too, are running.
    """

    def __init__(
        self,
        executor: ComputeExecutor,
        priority: ForegroundPriority,
        workers: int = 1,
        busy_workers: int = 1,
    ) -> None:
        self._executor = executor
        self._priority = priority
        self._limiter = FairLimiter(PREFETCH * workers)
        self._busy_limit = asyncio.Semaphore(PREFETCH * busy_workers)

    async def yield_to_foreground(self) -> None:
        """Before a step of work: wait for a moment while foreground requests are running."""
        await self._priority.yield_to_foreground()

    async def yield_to_others(self, tenant: int) -> float:
        """Before a step of a tenant's work: wait for a moment while other tenants call.

        Returns how many seconds it waited.
        """
        return await self._priority.yield_to_others(tenant)

    async def map(
        self,
        work: Callable[Concatenate[IndexEncoder, Sequence[In], P], Sequence[Out]],
        items: Sequence[In],
        size: int,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> list[Out]:
        """Call `work` with slices of `size` items, and join the results.

        Raises:
            WorkerDiedError: The processes that ran it ended before it returned.
            Exception: What `work` raised.
        """

        async def run_slice(part: Sequence[In]) -> Sequence[Out]:
            await self.yield_to_foreground()
            async with self._busy_limit if self._priority.busy else contextlib.nullcontext():
                return await self._executor.run(work, part, *args, **kwargs)

        parts = [items[start : start + size] for start in range(0, len(items), size)]
        return list(chain.from_iterable(await self._limiter.map(run_slice, parts)))
