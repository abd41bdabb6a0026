"""All that a running service is measured by, except for its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from service.indexing_runtime import IndexingRuntime
from service.metrics.indexing import embedder_metrics, index_metrics, processing_metrics
from service.metrics.processes import process_metrics
from service.metrics.storage import queue_metrics, size_metrics, storage_metrics
from service.ports.metrics import Gauge, Metric
from service.ports.search import IndexUsage
from service.storage.store import SqlStore

MAX_AGE_SECONDS: Final = 5.0
"""However often they are asked for, they are read no more often than this."""


class ServiceMetrics:
    """Reads them; see `ports.metrics`.

    Args:
        store: The storage.
        runtime: Processes and searches.
        in_progress: How many calls are being served.
        max_age: Seconds for which what was read is answered again.
    """

    def __init__(
        self,
        store: SqlStore,
        runtime: IndexingRuntime,
        in_progress: Callable[[], int],
        max_age: float = MAX_AGE_SECONDS,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._in_progress = in_progress
        self._max_age = max_age
        self._read_at = -max_age
        self._last: Sequence[Metric] = ()
        self._last_usage: IndexUsage | None = None
        self._reading = asyncio.Lock()

    async def read(self) -> Sequence[Metric]:
        calls = Gauge(
            "calls_in_progress", "Calls being served, streams included", "",
            {"": self._in_progress()},
        )  # fmt: skip
        async with self._reading:
            if monotonic() - self._read_at >= self._max_age:
                self._last = await self._read()
                self._read_at = monotonic()
        return (calls, *self._last)

    async def _read(self) -> Sequence[Metric]:
        system = await asyncio.to_thread(lambda: list(process_metrics()))
        sizes = await size_metrics(self._store)
        queue = await queue_metrics(self._store)
        usage = await self._runtime.index_usage() or self._last_usage
        self._last_usage = usage
        return (
            *sizes,
            *system,
            *queue,
            *storage_metrics(self._store),
            *processing_metrics(self._runtime.progress),
            *embedder_metrics(self._runtime.embedder_usage),
            *(index_metrics(usage) if usage is not None else ()),
        )
