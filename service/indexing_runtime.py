"""What makes a store's documents and memories findable: wired together, started, stopped."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor

from service.embedding.base import Embedder, EmbedderError, InlineEmbedder, Purpose
from service.pipeline.encoder import IndexEncoder
from service.pipeline.executors import BackgroundScheduler, ComputeExecutor, ThreadExecutor
from service.pipeline.indexing import Indexing
from service.pipeline.reindexing import reindex_forever
from service.pipeline.worker import Pipeline, PipelineOptions
from service.ports.search import Searcher
from service.processes import search_worker
from service.processes.compute_pool import ComputePool
from service.processes.offloader import SearchOffloader
from service.processes.search_worker import SearchWorkerConfig
from service.processes.worker_process import WorkerProcess, pickled
from service.retrieval.searcher import TENANT_THREADS, THREADS, SegmentSearcher
from service.runtime import interpreter
from service.runtime.fairness import FairThreads
from service.runtime.priority import ForegroundPriority
from service.search import probes
from service.search.weights import STATIC, calibration
from service.settings import Settings
from service.storage.sqlite.store import SqliteStore

log = logging.getLogger(__name__)

CALIBRATION_SECONDS = 30.0
"""Between tries to calibrate an embedder that is away."""


class IndexingRuntime:
    """The pipeline and the search of one store."""

    def __init__(
        self, store: SqliteStore, embedder: Embedder, space: int, settings: Settings
    ) -> None:
        self._embedder = embedder
        # Callers wait for these threads, and must not wait for documents. Those share one.
        self._threads = FairThreads(THREADS, TENANT_THREADS, "palimpsest-search")
        self._working = ThreadPoolExecutor(1, "palimpsest-work")
        inline = embedder if isinstance(embedder, InlineEmbedder) else None
        encoder = IndexEncoder(store.digester, space, inline)
        priority = ForegroundPriority()
        self._pool: ComputePool | None = None
        local = ThreadExecutor(encoder, self._working)
        executor: ComputeExecutor = local
        if settings.compute_processes:
            pool_embedder = settings.embedder if inline is not None else None
            self._pool = executor = ComputePool(
                settings.compute_processes, store.digester, space, pool_embedder, fallback=local
            )
        count = max(1, settings.compute_processes)
        # One processor is left to foreground requests.
        busy_count = max(1, min(count, (os.cpu_count() or 1) - 1))
        background = BackgroundScheduler(executor, priority, count, busy_count)
        self.indexing = Indexing(embedder, encoder, local, executor, background)
        self.pipeline = Pipeline(
            store.queue,
            self.indexing,
            background,
            PipelineOptions(
                lease=settings.lease, attempts=settings.attempts, workers=settings.workers
            ),
        )
        self._local = SegmentSearcher(
            store.index,
            embedder,
            space,
            settings.index_memory,
            encoder.hasher,
            self._threads,
            priority,
        )
        self.searcher: Searcher = self._local
        self.offloader: SearchOffloader | None = None
        self._search_process: WorkerProcess | None = None
        if settings.compute_processes and inline is not None:
            config = SearchWorkerConfig(
                store.path,
                store.digester,
                settings.embedder,
                space,
                settings.index_memory,
                settings.readers,
            )
            module = search_worker.__name__
            self._search_process = WorkerProcess(module, pickled(config), cancellable=True)
            self.searcher = self.offloader = SearchOffloader(
                self._search_process,
                self._local,
                store.now,
                store.memories.close_past,
                self._free_local_index,
                priority,
            )
            store.file.gates.append(self.offloader.readers_paused)
        store.engine.indexer = self.indexing
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls, store: SqliteStore, embedder: Embedder, settings: Settings
    ) -> IndexingRuntime:
        """Start to process the queue, and to reindex what another embedder indexed."""
        space = await store.index.embedder(embedder.name, embedder.dimension)
        runtime = cls(store, embedder, space, settings)
        runtime.pipeline.start()
        runtime._tasks = [
            asyncio.create_task(reindex_forever(store.reindexing, runtime.indexing)),
            asyncio.create_task(runtime._calibrate()),
        ]
        return runtime

    def _free_local_index(self) -> None:
        """The search worker answers: what this process loaded until then is no longer needed."""
        if self._local.clear():
            interpreter.trim_heap()

    async def _calibrate(self) -> None:
        """Find out what the cosines of an embedder mean that has no figures of its own."""
        while calibration(self._embedder.name) is not STATIC:
            try:
                questions = await self._embedder.embed(probes.QUESTIONS, Purpose.QUERY)
                statements = await self._embedder.embed(probes.STATEMENTS, Purpose.DOCUMENT)
            except EmbedderError as error:
                log.warning("the scores of searches are not calibrated yet: %s", error)
                await asyncio.sleep(CALIBRATION_SECONDS)
            else:
                self._local.calibration = probes.calibrate(questions, statements)
                return

    async def close(self) -> None:
        """Stop; what is not finished goes back to the queue. Before the store closes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pipeline.close()
        await self._embedder.close()
        if self._pool is not None:
            await self._pool.close()
        if self._search_process is not None:
            await self._search_process.close()
        self._threads.close()
        self._working.shutdown(wait=True)
