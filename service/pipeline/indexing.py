"""Making texts findable: their words and features, and their vectors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from service.core.digests import Digester
from service.core.indexing import NO_EMBEDDER, IndexEntry
from service.embedding.base import Embedder, EmbedderError, InlineEmbedder, Purpose
from service.search.analysis import analyse, embedding_text
from service.search.entry import TermHasher, encode_entry, encode_vectors

log = logging.getLogger(__name__)

INLINE_CHARACTERS = 4_000
"""Texts together shorter than this are indexed where they are, without a thread."""


class Passage(NamedTuple):
    """A text and what is known of it; see `analysis.analyse`."""

    text: str
    heading: str = ""
    speaker: str = ""
    instant: int | None = None

    @property
    def embedded(self) -> str:
        """What of it becomes a vector."""
        return embedding_text(self.text, self.heading, self.speaker)


def term_hasher(digester: Digester) -> TermHasher:
    """Deleted words must not be guessed from their hashes: these are keyed."""
    return TermHasher(digester.derived(b"terms"))


class Indexing:
    """Makes index entries with one embedder.

    Args:
        embedder: Makes the vectors.
        space: The number of its vector space.
        hasher: Hashes the words.
        threads: Where what takes longer is done.
    """

    def __init__(
        self, embedder: Embedder, space: int, hasher: TermHasher, threads: Executor
    ) -> None:
        self.embedder = embedder
        self.space = space
        self._hasher = hasher
        self._threads = threads

    async def index(self, texts: Sequence[str], dates: Sequence[int | None]) -> list[IndexEntry]:
        """Of memories. While the embedder is away they are found by their words."""
        passages = [Passage(text, instant=date) for text, date in zip(texts, dates, strict=True)]
        embedder, embedded = self.embedder, [passage.embedded for passage in passages]
        short = sum(map(len, texts)) <= INLINE_CHARACTERS
        inline = embedder if short and isinstance(embedder, InlineEmbedder) else None
        entries = self.entries(passages) if inline is not None else await self.in_thread(passages)
        vectors: Sequence[bytes | None] = [None] * len(passages)
        space = NO_EMBEDDER
        try:
            if inline is not None:
                found = inline.embed_now(embedded, Purpose.DOCUMENT)
            else:
                found = await embedder.embed_soon(embedded, Purpose.DOCUMENT)
            vectors, space = encode_vectors(found), self.space
        except EmbedderError as error:
            log.warning("memories are stored without vectors for now: %s", error)
        return [
            IndexEntry(entry, vector, space, date)
            for entry, vector, date in zip(entries, vectors, dates, strict=True)
        ]

    def dated(self, text: str, instant: int | None) -> bytes:
        """Words and features of a memory that speaks of a date, encoded."""
        return self.entries([Passage(text, instant=instant)])[0]

    async def in_thread(self, passages: Sequence[Passage]) -> list[bytes]:
        """`entries`, without holding up the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.entries, passages)

    def entries(self, passages: Sequence[Passage]) -> list[bytes]:
        """Words and features of each passage, encoded."""
        return [encode_entry(analyse(*passage), self._hasher) for passage in passages]

    async def vectors(self, passages: Sequence[Passage]) -> list[bytes]:
        """The vector of each passage, encoded.

        Raises:
            EmbedderError: There are none, now (Unavailable) or ever (Refused).
        """
        texts = [passage.embedded for passage in passages]
        return encode_vectors(await self.embedder.embed(texts, Purpose.DOCUMENT))
