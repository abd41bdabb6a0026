"""Index entries of texts: their words and features, and their vectors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from service.core.times import Moment
from service.embedding.base import (
    TIMEOUT_SECONDS,
    Embedder,
    EmbedderError,
    EmbedderRefusedError,
    InlineEmbedder,
    Purpose,
)
from service.pipeline.encoder import IndexEncoder, Passage
from service.pipeline.executors import BackgroundScheduler, ComputeExecutor
from service.ports.indexing import NO_EMBEDDER, IndexEntry
from service.processes.worker_process import WorkerDiedError
from service.search.entry import encode_vectors

T = TypeVar("T")

log = logging.getLogger(__name__)

INLINE_CHARACTERS = 4_000
"""Texts with fewer characters in total are indexed in the calling thread."""

TINY_CHARACTERS = 200
"""Texts with fewer even while another process is ready: sending them costs as much."""

CHEAP_CHARACTERS = 1_000
"""Texts of a call with fewer are indexed with those of other calls: a few milliseconds."""

CHARACTERS_PER_SECOND = 100_000
"""Work in another process may take so long for its characters."""

SLICE = 32
"""Passages of documents embedded at once: some 5 ms of work."""

ENTRIES_SLICE = 64
"""Passages of which entries are made at once in the background: about as much work."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long memories wait before they are indexed in another way. All in seconds.

    Args:
        embedder: For a vector; then they go without one.
        offload: For another process, which may have to wait for other work, in addition to the
            time for their characters; then they are indexed in the server itself.
    """

    embedder: float = TIMEOUT_SECONDS
    offload: float = 2.0


DEFAULT_TIMEOUTS = Timeouts()


class Indexing:
    """Makes index entries with one embedder.

    Args:
        embedder: Makes the vectors.
        encoder: The embedder's, for short texts.
        local: For memories while `executor` is not ready.
        executor: For memories, unless they are few and short.
        background: For documents.
        timeouts: How long memories wait.
    """

    def __init__(
        self,
        embedder: Embedder,
        encoder: IndexEncoder,
        local: ComputeExecutor,
        executor: ComputeExecutor,
        background: BackgroundScheduler,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        self.embedder = embedder
        self.space = encoder.space
        self._encoder = encoder
        self._local = local
        self._executor = executor
        self._background = background
        self._timeouts = timeouts
        self._inline = isinstance(embedder, InlineEmbedder)

    def is_cheap(self, texts: Sequence[str]) -> bool:
        return self._inline and sum(map(len, texts)) <= CHEAP_CHARACTERS

    async def index(self, texts: Sequence[str], dates: Sequence[Moment | None]) -> list[IndexEntry]:
        """Entries for memories. While the embedder is unavailable, they have words alone."""
        passages = [Passage.dated(text, date) for text, date in zip(texts, dates, strict=True)]
        if self._inline:
            return await self._index_inline(passages)
        entries = await self.entries(passages)
        embedded = [passage.embedded for passage in passages]
        try:
            vectors = await self.embedder.embed_with_timeout(
                embedded, Purpose.DOCUMENT, self._timeouts.embedder
            )
        except EmbedderError as error:
            return self._without_vectors(passages, entries, error)
        return self._with_vectors(passages, entries, encode_vectors(vectors))

    def dated(self, text: str, date: Moment | None) -> bytes:
        """Words and features of a memory that has a date, encoded."""
        return self._encoder.entries([Passage.dated(text, date)])[0]

    async def entries(self, passages: Sequence[Passage]) -> list[bytes]:
        """Words and features of each passage, encoded."""
        return await self._compute(IndexEncoder.entries, passages)

    @property
    def version(self) -> int:
        """Of the analysis that makes the entries."""
        return self._encoder.version

    async def entries_in_background(self, passages: Sequence[Passage]) -> list[bytes]:
        """The same as `entries`, when no caller waits for them."""
        try:
            return await self._background.map(IndexEncoder.entries, passages, ENTRIES_SLICE)
        except WorkerDiedError:
            return await self.entries(passages)

    async def vectors(self, passages: Sequence[Passage]) -> list[bytes]:
        """The vector of each passage, encoded.

        Raises:
            EmbedderError: There are none, now (Unavailable) or at all (Refused).
        """
        if not self._inline:
            texts = [passage.embedded for passage in passages]
            return encode_vectors(await self.embedder.embed(texts, Purpose.DOCUMENT))
        try:
            return await self._background.map(IndexEncoder.vectors, passages, SLICE)
        except WorkerDiedError as error:
            # One of the texts may have been the cause: the caller tries them one by one.
            raise EmbedderRefusedError(str(error)) from error

    async def _index_inline(self, passages: Sequence[Passage]) -> list[IndexEntry]:
        characters = _characters(passages)
        if len(passages) > 1 or characters > INLINE_CHARACTERS:
            self._executor.wake()
        here = characters <= (TINY_CHARACTERS if self._executor.offloads_now else INLINE_CHARACTERS)
        try:
            if here:
                entries, vectors = _encode(self._encoder, passages)
            else:
                entries, vectors = await self._compute(_encode, passages)
        except EmbedderError as error:
            return self._without_vectors(passages, await self.entries(passages), error)
        return self._with_vectors(passages, entries, vectors)

    async def _compute(
        self, work: Callable[[IndexEncoder, Sequence[Passage]], T], passages: Sequence[Passage]
    ) -> T:
        """Where it can begin first: a caller waits."""
        if self._executor.offloads_now:
            seconds = self._timeouts.offload + _characters(passages) / CHARACTERS_PER_SECOND
            try:
                async with asyncio.timeout(seconds):
                    return await self._executor.run(work, passages)
            except (WorkerDiedError, TimeoutError) as error:
                log.warning("texts are indexed in the server itself: %r", error)
        return await self._local.run(work, passages)

    def _with_vectors(
        self, passages: Sequence[Passage], entries: Sequence[bytes], vectors: Sequence[bytes]
    ) -> list[IndexEntry]:
        return [
            IndexEntry(entry, vector, self.space, passage.date)
            for passage, entry, vector in zip(passages, entries, vectors, strict=True)
        ]

    @staticmethod
    def _without_vectors(
        passages: Sequence[Passage], entries: Sequence[bytes], error: EmbedderError
    ) -> list[IndexEntry]:
        log.warning("memories are stored without vectors for now: %s", error)
        return [
            IndexEntry(entry, None, NO_EMBEDDER, passage.date)
            for passage, entry in zip(passages, entries, strict=True)
        ]


def _characters(passages: Sequence[Passage]) -> int:
    return sum(len(passage.text) for passage in passages)


def _encode(encoder: IndexEncoder, passages: Sequence[Passage]) -> tuple[list[bytes], list[bytes]]:
    return encoder.entries(passages), encoder.vectors(passages)
