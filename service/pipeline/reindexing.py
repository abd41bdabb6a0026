"""Indexing anew what has no vector, or one of another embedder.

Each step takes what a search of the index for other spaces finds next, so that it
goes on where it was stopped, and needs no list of what is done. Searches go on with
what is there: words, and the vectors of the current space.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from service.core.errors import PalimpsestError
from service.core.reindexing import Reindex, Stale
from service.embedding.base import EmbedderError
from service.pipeline.indexing import Indexing, Passage

log = logging.getLogger(__name__)

STEP = 128
"""Texts indexed in one transaction."""

RETRY_SECONDS = 30.0
"""Between looks for what is left, and after a failure."""


async def reindex(
    source: Reindex, indexing: Indexing, progress: Callable[[int], None] | None = None
) -> int:
    """Index all that is stale; the answer is how many texts that were.

    Args:
        source: The storage.
        indexing: Makes the entries.
        progress: Told how many texts each step has done.

    Raises:
        EmbedderError: There are no vectors to be had.
    """
    done = 0
    while stale := await source.stale(indexing.space, STEP):
        passages = [_passage(one) for one in stale]
        entries = await indexing.in_thread(passages)
        vectors = await indexing.vectors(passages)
        await source.refresh(stale, entries, vectors, indexing.space)
        done += len(stale)
        if progress is not None:
            progress(len(stale))
    return done


async def reindex_forever(source: Reindex, indexing: Indexing) -> None:
    """Keep everything in the current space, whatever was written without it."""
    while True:
        try:
            if done := await reindex(source, indexing):
                log.info("indexed %d texts anew", done)
        except EmbedderError as error:
            log.warning("indexing anew waits for the embedder: %s", error)
        except PalimpsestError as error:
            log.warning("indexing anew waits for the database: %s", error)
        await asyncio.sleep(RETRY_SECONDS)


def _passage(stale: Stale) -> Passage:
    return Passage(stale.text, stale.heading, stale.speaker, stale.instant)
