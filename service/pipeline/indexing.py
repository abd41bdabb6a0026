"""Making texts findable: their words and features, and their vectors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import TypeVar

from service.children import LostError
from service.core.coalescing import Coalescer
from service.core.indexing import NO_EMBEDDER, IndexEntry
from service.embedding.base import Embedder, EmbedderError, InlineEmbedder, Purpose
from service.pipeline.hands import Background, Hands
from service.pipeline.workshop import Passage, Workshop
from service.search.entry import encode_vectors

T = TypeVar("T")

log = logging.getLogger(__name__)

INLINE_CHARACTERS = 4_000
"""Texts together shorter than this are indexed where they are, without a thread."""

SLICE = 32
"""Passages of documents embedded at once: some 5 ms of work."""


class Indexing:
    """Makes index entries with one embedder.

    Args:
        embedder: Makes the vectors.
        workshop: Of the embedder, for what is short.
        near: For memories while `hands` are not ready.
        hands: For memories, if they are many or long.
        background: For documents.
        max_waiting: Memories that may wait before OVERLOADED.
    """

    def __init__(
        self,
        embedder: Embedder,
        workshop: Workshop,
        near: Hands,
        hands: Hands,
        background: Background,
        max_waiting: int = 10_000,
    ) -> None:
        self.embedder = embedder
        self.space = workshop.space
        self._workshop = workshop
        self._near = near
        self._hands = hands
        self._background = background
        self._inline = isinstance(embedder, InlineEmbedder)
        self._calls: Coalescer[Sequence[Passage], Sequence[IndexEntry]] = Coalescer(
            self._index_calls, max_waiting
        )

    async def index(self, texts: Sequence[str], dates: Sequence[int | None]) -> list[IndexEntry]:
        """Of memories. While the embedder is away they are found by their words."""
        passages = [Passage(text, instant=date) for text, date in zip(texts, dates, strict=True)]
        if self._inline:
            return list(await self._calls.submit(passages, len(passages)))
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
        return await self._background.map(Workshop.vectors, passages, SLICE)

    async def _index_calls(self, calls: Sequence[Sequence[Passage]]) -> list[list[IndexEntry]]:
        passages = list(chain.from_iterable(calls))
        made = iter(await self._index_now(passages, many=len(calls) > 1))
        return [list(islice(made, len(call))) for call in calls]

    async def _index_now(self, passages: Sequence[Passage], *, many: bool) -> list[IndexEntry]:
        short = sum(len(passage.text) for passage in passages) <= INLINE_CHARACTERS
        if many or not short:
            self._hands.wake()
        here = short and not self._hands.free
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
            try:
                return await self._hands.run_soon(work, passages)
            except LostError as error:
                log.warning("memories are indexed in the server itself: %s", error)
        return await self._near.run_soon(work, passages)

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


def _indexed(workshop: Workshop, passages: Sequence[Passage]) -> tuple[list[bytes], list[bytes]]:
    return workshop.entries(passages), workshop.vectors(passages)
