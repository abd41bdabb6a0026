"""Reindexing from the command line, with or without a running server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from service.core.database_location import DatabaseLocation
from service.core.times import WallClock
from service.embedding.base import InlineEmbedder
from service.embedding.registry import open_embedder
from service.pipeline.encoder import IndexEncoder
from service.pipeline.executors import BackgroundScheduler, ThreadExecutor
from service.pipeline.indexing import Indexing
from service.pipeline.reindexing import DEFAULT_OPTIONS, ReindexOptions, reindex
from service.runtime.priority import ForegroundPriority
from service.settings import Settings
from service.storage.engine import StoreOptions
from service.storage.opening import open_prepared, prepare_database
from service.storage.store import SqlStore


@asynccontextmanager
async def _opened(
    location: DatabaseLocation, settings: Settings
) -> AsyncIterator[tuple[SqlStore, Indexing]]:
    embedder = open_embedder(settings.embedder, settings.embedder_key_file)
    prepared = await prepare_database(location, (embedder.name, embedder.dimension))
    store = await open_prepared(prepared, StoreOptions(), WallClock())
    threads = ThreadPoolExecutor(1)
    try:
        inline = embedder if isinstance(embedder, InlineEmbedder) else None
        encoder = IndexEncoder(store.digester, prepared.space, inline)
        executor = ThreadExecutor(encoder, threads)
        yield (
            store,
            Indexing(
                embedder,
                encoder,
                executor,
                executor,
                BackgroundScheduler(executor, ForegroundPriority()),
            ),
        )
    finally:
        await embedder.close()
        await store.close()
        threads.shutdown()


def remaining(location: DatabaseLocation, settings: Settings) -> int:
    """How many texts are not in the space of the embedder that the settings name, or were
    indexed by an older release whose analysis was another."""

    async def count() -> int:
        async with _opened(location, settings) as (store, indexing):
            return await store.reindexing.remaining(indexing.space, indexing.version)

    return asyncio.run(count())


def run(
    location: DatabaseLocation,
    settings: Settings,
    progress: Callable[[int], None],
    options: ReindexOptions = DEFAULT_OPTIONS,
) -> int:
    """Index all of them; returns how many.

    Args:
        location: The database.
        settings: The embedder.
        progress: Called with the number of texts of each step.
        options: How much is done in a step.

    Raises:
        EmbedderError: The embedder is not available; what is done stays done.
    """

    async def work() -> int:
        async with _opened(location, settings) as (store, indexing):
            return await reindex(store.reindexing, indexing, progress, options)

    return asyncio.run(work())
