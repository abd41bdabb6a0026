"""A pool of child processes that extract, chunk, index and embed.

They start when there is work, and end when there has been none for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from service.core.digests import Digester
from service.pipeline.encoder import IndexEncoder
from service.pipeline.executors import PREFETCH, ComputeExecutor
from service.processes import compute_worker
from service.processes.worker_process import (
    DEFAULT_OPTIONS,
    ProcessOptions,
    StartError,
    WorkerProcess,
    pickled,
)

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS = 60.0
"""A worker without work ends after so long, which frees its memory."""


class ComputePool:
    """Worker processes, as many as there is work for; see `executors.ComputeExecutor`.

    Args:
        count: How many there are at most.
        digester: The database's.
        space: The number of the vector space.
        embedder: A name for `registry.open_embedder`; None: the workers make no vectors.
        idle: Seconds without work after which a worker ends.
        fallback: Does the work while no worker can be started. None: it fails.
        options: How the processes are started and watched.
    """

    def __init__(
        self,
        count: int,
        digester: Digester,
        space: int,
        embedder: str | None,
        idle: float = IDLE_SECONDS,
        fallback: ComputeExecutor | None = None,
        options: ProcessOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._fallback = fallback
        init = pickled((idle, digester, space, embedder))
        self._workers = [
            WorkerProcess(compute_worker.__name__, init, options=options) for _ in range(count)
        ]

    @property
    def offloads_now(self) -> bool:
        return any(worker.ready for worker in self._workers)

    def wake(self) -> None:
        self._workers[0].wake()

    async def run(
        self, work: Callable[Concatenate[IndexEncoder, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `work` in a worker; function and arguments are pickled.

        Raises:
            StartError: No worker can be started, and there is no fallback.
            WorkerDiedError: Two workers ended before it returned.
            Exception: What `work` raised.
        """
        try:
            result: T = await self._worker().call(pickled((work, args, kwargs)))
        except StartError:
            if self._fallback is None:
                raise
            return await self._fallback.run(work, *args, **kwargs)
        return result

    def _worker(self) -> WorkerProcess:
        """The first that may be given more. If there is none, another one is started."""
        started = [worker for worker in self._workers if worker.ready] or self._workers[:1]
        for worker in started:
            if worker.load < PREFETCH:
                return worker
        for worker in self._workers:
            if worker not in started:
                worker.wake()
                break
        return min(started, key=lambda worker: worker.load)

    async def close(self) -> None:
        await asyncio.gather(*(worker.close() for worker in self._workers))
