"""Making texts findable: their words and features, and their vectors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from service.embedding.base import (
    Embedder,
    EmbedderError,
    EmbedderRefusedError,
    InlineEmbedder,
    Purpose,
)
from service.pipeline.encoder import Passage, Workshop
from service.pipeline.executors import Background, Hands
from service.ports.indexing import NO_EMBEDDER, IndexEntry
from service.processes.worker_process import LostError
from service.search.entry import encode_vectors

T = TypeVar("T")

log = logging.getLogger(__name__)

INLINE_CHARACTERS = 4_000
"""Texts together shorter than this are indexed where they are, without a thread."""

LITTLE_CHARACTERS = 200
"""And shorter than this even while others' hands are free: to ask them costs as much."""

QUICK_CHARACTERS = 1_000
"""Texts of a call shorter than this are indexed with those of others: a few milliseconds."""

PATIENCE_SECONDS = 2.0
CHARACTERS_A_SECOND = 100_000
"""What hands are waited for: the work may take as long, beside what it waits for itself."""

SLICE = 32
"""Passages of documents embedded at once: some 5 ms of work."""


class Indexing:
    """Makes index entries with one embedder.

    Args:
        embedder: Makes the vectors.
        workshop: Of the embedder, for what is short.
        near: For memories while `hands` are not ready.
        hands: For memories, unless they are few and short.
        background: For documents.
    """

    def __init__(
        self,
        embedder: Embedder,
        workshop: Workshop,
        near: Hands,
        hands: Hands,
        background: Background,
    ) -> None:
        self.embedder = embedder
        self.space = workshop.space
        self._workshop = workshop
        self._near = near
        self._hands = hands
        self._background = background
        self._inline = isinstance(embedder, InlineEmbedder)

    def quick(self, texts: Sequence[str]) -> bool:
        return self._inline and sum(map(len, texts)) <= QUICK_CHARACTERS

    async def index(self, texts: Sequence[str], dates: Sequence[int | None]) -> list[IndexEntry]:
        """Of memories. While the embedder is away they are found by their words."""
        passages = [Passage(text, instant=date) for text, date in zip(texts, dates, strict=True)]
        if self._inline:
            return await self._index_inline(passages)
        entries = await self.entries(passages)
        embedded = [passage.embedded for passage in passages]
        try:
            found = await self.embedder.embed_soon(embedded, Purpose.DOCUMENT)
        except EmbedderError as error:
            return self._without_vectors(passages, entries, error)
        return self._made(passages, entries, encode_vectors(found))

    def dated(self, text: str, instant: int | None) -> bytes:
        """Words and features of a memory that speaks of a date, encoded."""
        return self._workshop.entries([Passage(text, instant=instant)])[0]

    async def entries(self, passages: Sequence[Passage]) -> list[bytes]:
        """Words and features of each passage, encoded."""
        return await self._done(Workshop.entries, passages)

    async def vectors(self, passages: Sequence[Passage]) -> list[bytes]:
        """The vector of each passage, encoded.

        Raises:
            EmbedderError: There are none, now (Unavailable) or ever (Refused).
        """
        if not self._inline:
            texts = [passage.embedded for passage in passages]
            return encode_vectors(await self.embedder.embed(texts, Purpose.DOCUMENT))
        try:
            return await self._background.map(Workshop.vectors, passages, SLICE)
        except LostError as error:
            # One of the texts may have been too much: whoever asked tries them one by one.
            raise EmbedderRefusedError(str(error)) from error

    async def _index_inline(self, passages: Sequence[Passage]) -> list[IndexEntry]:
        characters = _characters(passages)
        if len(passages) > 1 or characters > INLINE_CHARACTERS:
            self._hands.wake()
        here = characters <= (LITTLE_CHARACTERS if self._hands.free else INLINE_CHARACTERS)
        try:
            if here:
                entries, vectors = _indexed(self._workshop, passages)
            else:
                entries, vectors = await self._done(_indexed, passages)
        except EmbedderError as error:
            return self._without_vectors(passages, await self.entries(passages), error)
        return self._made(passages, entries, vectors)

    async def _done(
        self, work: Callable[[Workshop, Sequence[Passage]], T], passages: Sequence[Passage]
    ) -> T:
        """By the hands that are ready first: somebody waits."""
        if self._hands.free:
            patience = PATIENCE_SECONDS + _characters(passages) / CHARACTERS_A_SECOND
            try:
                async with asyncio.timeout(patience):
                    return await self._hands.run(work, passages)
            except (LostError, TimeoutError) as error:
                log.warning("texts are indexed in the server itself: %r", error)
        return await self._near.run(work, passages)

    def _made(
        self, passages: Sequence[Passage], entries: Sequence[bytes], vectors: Sequence[bytes]
    ) -> list[IndexEntry]:
        return [
            IndexEntry(entry, vector, self.space, passage.instant)
            for passage, entry, vector in zip(passages, entries, vectors, strict=True)
        ]

    @staticmethod
    def _without_vectors(
        passages: Sequence[Passage], entries: Sequence[bytes], error: EmbedderError
    ) -> list[IndexEntry]:
        log.warning("memories are stored without vectors for now: %s", error)
        return [
            IndexEntry(entry, None, NO_EMBEDDER, passage.instant)
            for passage, entry in zip(passages, entries, strict=True)
        ]


def _characters(passages: Sequence[Passage]) -> int:
    return sum(len(passage.text) for passage in passages)


def _indexed(workshop: Workshop, passages: Sequence[Passage]) -> tuple[list[bytes], list[bytes]]:
    return workshop.entries(passages), workshop.vectors(passages)
