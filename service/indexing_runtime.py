"""What makes a store's documents and memories findable: wired together, started, stopped."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor

from service.embedding.base import Embedder, EmbedderError, InlineEmbedder, Purpose
from service.pipeline.encoder import Workshop
from service.pipeline.executors import Background, Hands, Threads
from service.pipeline.indexing import Indexing
from service.pipeline.reindexing import reindex_forever
from service.pipeline.worker import Pipeline, PipelineOptions
from service.ports.search import Searcher
from service.processes import search_worker
from service.processes.compute_pool import Helpers
from service.processes.offloader import Finder
from service.processes.search_worker import Plan
from service.processes.worker_process import Child, pickled
from service.retrieval.searcher import TENANT_THREADS, THREADS, SegmentSearcher
from service.runtime import interpreter
from service.runtime.fairness import FairThreads
from service.runtime.priority import Precedence
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
        workshop = Workshop(store.digester, space, inline)
        precedence = Precedence()
        self._helpers: Helpers | None = None
        near = Threads(workshop, self._working)
        hands: Hands = near
        if settings.compute_processes:
            made_there = settings.embedder if inline is not None else None
            self._helpers = hands = Helpers(
                settings.compute_processes, store.digester, space, made_there, fallback=near
            )
        count = max(1, settings.compute_processes)
        # One processor is left to those who go first.
        modest = max(1, min(count, (os.cpu_count() or 1) - 1))
        background = Background(hands, precedence, count, modest)
        self.indexing = Indexing(embedder, workshop, near, hands, background)
        self.pipeline = Pipeline(
            store.queue,
            self.indexing,
            background,
            PipelineOptions(
                lease=settings.lease, attempts=settings.attempts, workers=settings.workers
            ),
        )
        self._near = SegmentSearcher(
            store.index,
            embedder,
            space,
            settings.index_memory,
            workshop.hasher,
            self._threads,
            precedence,
        )
        self.searcher: Searcher = self._near
        self.finder: Finder | None = None
        self._child: Child | None = None
        if settings.compute_processes and inline is not None:
            plan = Plan(
                store.path,
                store.digester,
                settings.embedder,
                space,
                settings.index_memory,
                settings.readers,
            )
            module = search_worker.__name__
            self._child = Child(module, pickled(plan), gives_up=True)
            self.searcher = self.finder = Finder(
                self._child,
                self._near,
                store.now,
                store.memories.close_past,
                self._leave,
                precedence,
            )
            store.file.gates.append(self.finder.closed)
        store.engine.indexer = self.indexing
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls, store: SqliteStore, embedder: Embedder, settings: Settings
    ) -> IndexingRuntime:
        """Begin to process what waits, and to index anew what another embedder indexed."""
        space = await store.index.embedder(embedder.name, embedder.dimension)
        runtime = cls(store, embedder, space, settings)
        runtime.pipeline.start()
        runtime._tasks = [
            asyncio.create_task(reindex_forever(store.reindexing, runtime.indexing)),
            asyncio.create_task(runtime._calibrate()),
        ]
        return runtime

    def _leave(self) -> None:
        """The finder searches: what this process loaded until then is not needed any more."""
        if self._near.clear():
            interpreter.give_back()

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
                self._near.calibration = probes.calibrate(questions, statements)
                return

    async def close(self) -> None:
        """Stop; what is not finished goes back to the queue. Before the store closes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pipeline.close()
        await self._embedder.close()
        if self._helpers is not None:
            await self._helpers.close()
        if self._child is not None:
            await self._child.close()
        self._threads.close()
        self._working.shutdown(wait=True)
