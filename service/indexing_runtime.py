"""Indexing and search of one store: wired together, started and stopped."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from service.embedding.base import Embedder, EmbedderError, InlineEmbedder, Purpose
from service.pipeline.encoder import IndexEncoder
from service.pipeline.executors import BackgroundScheduler, ComputeExecutor, ThreadExecutor
from service.pipeline.indexing import Indexing, Timeouts
from service.pipeline.reindexing import ReindexOptions, reindex_forever
from service.pipeline.worker import Pipeline, PipelineOptions
from service.ports.search import IndexUsage, Searcher
from service.processes import search_worker
from service.processes.compute_pool import ComputePool
from service.processes.offloader import SearchOffloader, readers_paused
from service.processes.search_worker import SearchWorkerConfig
from service.processes.worker_process import ProcessOptions, WorkerProcess, pickled
from service.retrieval.searcher import TENANT_THREADS, THREADS, SearchOptions, SegmentSearcher
from service.runtime import interpreter
from service.runtime.fairness import FairThreads
from service.runtime.priority import ForegroundPriority
from service.search import probes
from service.search.weights import TRANSFORMER, calibration
from service.settings import Settings
from service.storage.prepared import Gate, PreparedDatabase
from service.storage.store import SqlStore

log = logging.getLogger(__name__)

CALIBRATION_SECONDS = 30.0
"""Between attempts to calibrate an embedder that is not available."""


@dataclass(frozen=True, slots=True)
class IndexingOptions:
    """How texts are indexed and searched, as far as no setting says it.

    Args:
        pipeline: How documents are processed; lease, attempts and workers are those of the
            settings.
        reindexing: How texts are indexed again.
        searches: How searches are answered.
        timeouts: How long memories wait for their vectors and for other processes.
        processes: How child processes are started and watched.
    """

    pipeline: PipelineOptions = field(default_factory=PipelineOptions)
    reindexing: ReindexOptions = field(default_factory=ReindexOptions)
    searches: SearchOptions = field(default_factory=SearchOptions)
    timeouts: Timeouts = field(default_factory=Timeouts)
    processes: ProcessOptions = field(default_factory=ProcessOptions)


DEFAULT_OPTIONS = IndexingOptions()


class IndexingResources:
    """What indexes texts and answers searches outside of the store: threads and processes.

    Args:
        database: What the store will be opened on.
        embedder: Makes the vectors; closed with the resources.
        settings: How many processes there may be.
        now: The wall clock of the store.
        options: What the settings do not say.
    """

    def __init__(
        self,
        database: PreparedDatabase,
        embedder: Embedder,
        settings: Settings,
        now: Callable[[], int],
        options: IndexingOptions = DEFAULT_OPTIONS,
    ) -> None:
        self.embedder = embedder
        self.space = database.space
        self._working = ThreadPoolExecutor(1, "palimpsest-work")
        inline = embedder if isinstance(embedder, InlineEmbedder) else None
        self.encoder = IndexEncoder(database.digester, database.space, inline)
        self.priority = ForegroundPriority()
        self._pool: ComputePool | None = None
        local = ThreadExecutor(self.encoder, self._working)
        executor: ComputeExecutor = local
        if settings.compute_processes:
            self._pool = executor = ComputePool(
                settings.compute_processes,
                database.digester,
                database.space,
                settings.embedder if inline is not None else None,
                fallback=local,
                options=options.processes,
            )
        count = max(1, settings.compute_processes)
        # One processor is left to foreground requests.
        busy_count = max(1, min(count, (os.cpu_count() or 1) - 1))
        self.background = BackgroundScheduler(executor, self.priority, count, busy_count)
        self.indexing = Indexing(
            embedder, self.encoder, local, executor, self.background, options.timeouts
        )
        self.search_process: WorkerProcess | None = None
        self.gates: Sequence[Gate] = ()
        """What a checkpoint of the store closes: see `open_prepared`."""
        if settings.compute_processes and inline is not None:
            config = SearchWorkerConfig(
                database.location,
                database.digester,
                settings.embedder,
                database.space,
                settings.index_memory,
                settings.readers,
                options.searches,
            )
            process = WorkerProcess(
                search_worker.__name__,
                pickled(config),
                cancellable=True,
                options=options.processes,
            )
            self.search_process = process
            self.gates = (partial(readers_paused, process, now),)

    async def close(self) -> None:
        await self.embedder.close()
        if self._pool is not None:
            await self._pool.close()
        if self.search_process is not None:
            await self.search_process.close()
        self._working.shutdown(wait=True)


class IndexingRuntime:
    """The pipeline and the search of one store, which has the indexer of the resources.

    Args:
        store: The storage.
        resources: The threads and processes.
        settings: How it runs.
        options: What the settings do not say.
    """

    def __init__(
        self,
        store: SqlStore,
        resources: IndexingResources,
        settings: Settings,
        options: IndexingOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._options = options
        self._embedder = resources.embedder
        self._indexing = resources.indexing
        self._reindexing = store.reindexing
        # Callers wait for these threads, and must not wait for documents.
        self._threads = FairThreads(THREADS, TENANT_THREADS, "palimpsest-search")
        self.embedder_usage = resources.embedder.usage
        self._pipeline = Pipeline(
            store.queue,
            resources.indexing,
            resources.background,
            replace(
                options.pipeline,
                lease=settings.lease,
                attempts=settings.attempts,
                workers=settings.workers,
            ),
        )
        self.progress = self._pipeline.progress
        self._local = SegmentSearcher(
            store.index,
            resources.embedder,
            resources.space,
            settings.index_memory,
            resources.encoder.hasher,
            self._threads,
            resources.priority,
            options.searches,
        )
        self.searcher: Searcher = self._local
        self.offloader: SearchOffloader | None = None
        if resources.search_process is not None:
            self.searcher = self.offloader = SearchOffloader(
                resources.search_process,
                self._local,
                store.now,
                store.memories.close_past,
                self._free_local_index,
                resources.priority,
            )
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to process queued documents, and to index again what another embedder indexed."""
        self._pipeline.start()
        self._tasks = [
            asyncio.create_task(
                reindex_forever(self._reindexing, self._indexing, self._options.reindexing)
            ),
            asyncio.create_task(self._calibrate()),
        ]

    async def index_usage(self) -> IndexUsage | None:
        """What the indexes take up where searches run; None: that cannot be told now."""
        if self.offloader is not None and self.offloader.ready:
            return await self.offloader.index_usage()
        return self._local.usage()

    def _free_local_index(self) -> None:
        """The search worker answers: what this process loaded until then is no longer needed."""
        if self._local.clear():
            interpreter.trim_heap()

    async def _calibrate(self) -> None:
        """Measure what the cosines of an embedder mean, unless that is known."""
        while calibration(self._embedder.name) is TRANSFORMER:
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
        """Stop; what is not finished goes back to the queue. Called before the store is closed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pipeline.close()
        self._threads.close()
