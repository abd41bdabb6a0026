"""Reindexing of what an older analysis or another embedder indexed, or none did.

Each step takes the next texts that a query for older entries or other vector spaces finds,
so that it resumes where it was stopped, and needs no list of what is done. Searches continue
with what is there: words, and the vectors of the current space.

After an upgrade only words are analysed again: a vector that is of the current space stays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.core.errors import PalimpsestError
from service.embedding.base import EmbedderError, EmbedderRefusedError
from service.pipeline.encoder import Passage
from service.pipeline.indexing import Indexing
from service.ports.reindexing import Reindex, Stale

log = logging.getLogger(__name__)

REPORT_SECONDS = 60.0
"""Between two lines of the log about how much is done."""


@dataclass(frozen=True, slots=True)
class ReindexOptions:
    """How texts are indexed again.

    Args:
        step: How many in one transaction.
        pause: Seconds between checks for what is left, and after a failure.
    """

    step: int = 128
    pause: float = 30.0


DEFAULT_OPTIONS = ReindexOptions()


async def reindex(
    source: Reindex,
    indexing: Indexing,
    progress: Callable[[int], None] | None = None,
    options: ReindexOptions = DEFAULT_OPTIONS,
) -> int:
    """Index all stale texts, and return how many there were.

    What needs no embedder goes first, and all of it is done even if there is none.

    Args:
        source: The storage.
        indexing: Makes the entries.
        progress: Called with the number of texts of each step.
        options: How much is done in a step.

    Raises:
        EmbedderError: The embedder is unavailable, or refuses some texts: all others are
            done then.
    """
    step = options.step
    done = await _renew_entries(source, indexing, step, progress)
    try:
        return done + await _index(source, indexing, step, progress)
    except EmbedderError:
        await _renew_entries(source, indexing, step, elsewhere=True)
        raise


async def _renew_entries(
    source: Reindex,
    indexing: Indexing,
    step: int,
    progress: Callable[[int], None] | None = None,
    *,
    elsewhere: bool = False,
) -> int:
    """Analyse again what an older analysis did, and leave vectors as they are.

    Args:
        source: The storage.
        indexing: Makes the entries.
        step: See `ReindexOptions`.
        progress: See `reindex`.
        elsewhere: What is not in the current space, instead of what is: that is found by words.
    """
    done = 0
    while stale := await source.outdated(
        indexing.space, indexing.version, step, elsewhere=elsewhere
    ):
        entries = await indexing.entries_in_background([_passage(one) for one in stale])
        await source.refresh(stale, entries, None, indexing.space)
        done += len(stale)
        if progress is not None:
            progress(len(stale))
    return done


async def _index(
    source: Reindex, indexing: Indexing, step: int, progress: Callable[[int], None] | None
) -> int:
    """Make entries and vectors of all that is stale."""
    done = 0
    refused: dict[Stale, EmbedderRefusedError] = {}
    while True:
        found = await source.stale(indexing.space, indexing.version, step + len(refused))
        stale = [one for one in found if one not in refused]
        if not stale:
            break
        vectors = await _vectors(stale, indexing)
        refused.update(
            (one, vector)
            for one, vector in zip(stale, vectors, strict=True)
            if isinstance(vector, EmbedderRefusedError)
        )
        made = [
            (one, vector)
            for one, vector in zip(stale, vectors, strict=True)
            if isinstance(vector, bytes)
        ]
        if made:
            renewed = [one for one, _ in made]
            entries = await indexing.entries_in_background([_passage(one) for one in renewed])
            await source.refresh(renewed, entries, [v for _, v in made], indexing.space)
            done += len(made)
            if progress is not None:
                progress(len(made))
    if refused:
        raise next(iter(refused.values()))
    return done


async def _vectors(
    stale: Sequence[Stale], indexing: Indexing
) -> Sequence[bytes | EmbedderRefusedError]:
    """The vector of each text, or why the embedder refuses it; raises if it refuses all."""
    passages = [_passage(one) for one in stale]
    try:
        return await indexing.vectors(passages)
    except EmbedderRefusedError:
        if len(passages) == 1:
            raise
    # One text may have failed the whole batch.
    vectors: list[bytes | EmbedderRefusedError] = []
    for passage in passages:
        try:
            vectors.extend(await indexing.vectors([passage]))
        except EmbedderRefusedError as error:
            vectors.append(error)
    if all(isinstance(vector, EmbedderRefusedError) for vector in vectors):
        raise next(vector for vector in vectors if isinstance(vector, EmbedderRefusedError))
    return vectors


async def reindex_forever(
    source: Reindex, indexing: Indexing, options: ReindexOptions = DEFAULT_OPTIONS
) -> None:
    """Keep everything of the current analysis and in the current space, including what was
    written without a vector."""
    while True:
        try:
            left = await source.remaining(indexing.space, indexing.version)
            if done := await reindex(source, indexing, _Reports(left), options):
                log.info("reindexed %d texts", done)
        except EmbedderError as error:
            log.warning("reindexing waits for the embedder: %s", error)
        except PalimpsestError as error:
            log.warning("reindexing waits for the database: %s", error)
        except Exception:
            log.exception("reindexing failed; it will be tried again")
        await asyncio.sleep(options.pause)


class _Reports:
    """Logs how many of the texts are done: at once, and then now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._due = 0.0

    def __call__(self, done: int) -> None:
        self._done += done
        if self._done < self._total and time.monotonic() >= self._due:
            self._due = time.monotonic() + REPORT_SECONDS
            log.info("reindexed %d of %d texts", self._done, self._total)


def _passage(stale: Stale) -> Passage:
    return Passage(stale.text, stale.heading, stale.speaker, stale.instant, stale.offset)
