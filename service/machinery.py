"""What makes a store's documents and memories findable: wired together, started, stopped."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from service.core.precedence import Precedence
from service.embedding.base import Embedder
from service.pipeline.indexing import Indexing, term_hasher
from service.pipeline.reindexing import reindex_forever
from service.pipeline.worker import Pipeline, PipelineOptions
from service.retrieval.searcher import SegmentSearcher
from service.retrieval.segments import Segments
from service.search.weights import calibration
from service.settings import Settings
from service.storage.sqlite import SqliteStore


class Machinery:
    """The pipeline and the search of one store."""

    def __init__(
        self, store: SqliteStore, embedder: Embedder, space: int, settings: Settings
    ) -> None:
        self._embedder = embedder
        # Callers wait for these threads, and must not wait for documents. Those share one:
        # extracting and cutting is Python, of which only one thread runs at a time anyway.
        self._threads = ThreadPoolExecutor(2, "palimpsest-search")
        self._working = ThreadPoolExecutor(1, "palimpsest-work")
        hasher = term_hasher(store.digester)
        precedence = Precedence()
        self.indexing = Indexing(embedder, space, hasher, self._threads)
        self.pipeline = Pipeline(
            store.queue,
            self.indexing,
            store.digester,
            self._working,
            precedence,
            PipelineOptions(
                lease=settings.lease, attempts=settings.attempts, workers=settings.workers
            ),
        )
        weights = calibration(embedder.name)
        self.segments = Segments(
            store.index,
            space,
            embedder.dimension,
            weights,
            settings.index_memory,
            self._threads,
        )
        self.searcher = SegmentSearcher(
            store.index, self.segments, embedder, weights, hasher, self._threads, precedence
        )
        store.memories.indexer = self.indexing
        self._reindexing: asyncio.Task[None] | None = None
        self._store = store

    @classmethod
    async def open(cls, store: SqliteStore, embedder: Embedder, settings: Settings) -> Machinery:
        """Begin to process what waits, and to index anew what another embedder indexed."""
        space = await store.index.embedder(embedder.name, embedder.dimension)
        machine = cls(store, embedder, space, settings)
        machine.pipeline.start()
        machine._reindexing = asyncio.create_task(
            reindex_forever(store.reindexing, machine.indexing)
        )
        return machine

    async def close(self) -> None:
        """Stop; what is not finished goes back to the queue. Before the store closes."""
        if self._reindexing is not None:
            self._reindexing.cancel()
            await asyncio.gather(self._reindexing, return_exceptions=True)
        await self.pipeline.close()
        await self._embedder.close()
        for threads in (self._threads, self._working):
            threads.shutdown(wait=True)
