"""What is computed from texts: their words and features, and their vectors, encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.core.digests import Digester
from service.core.times import Moment
from service.embedding.base import InlineEmbedder, Purpose
from service.search import entry
from service.search.analysis import analyse, embedding_text
from service.search.entry import TermHasher, encode_entries, encode_vectors


class Passage(NamedTuple):
    """A text and what is known about it; see `analysis.analyse`."""

    text: str
    heading: str = ""
    speaker: str = ""
    instant: int | None = None
    offset: int | None = None

    @classmethod
    def dated(cls, text: str, date: Moment | None) -> Passage:
        """A text and its date."""
        return cls(text) if date is None else cls(text, instant=date.instant, offset=date.offset)

    @property
    def date(self) -> Moment | None:
        """When it was said, if that is known."""
        return None if self.instant is None else Moment(self.instant, self.offset)

    @property
    def embedded(self) -> str:
        """The text whose vector stands for the passage."""
        return embedding_text(self.text, self.heading, self.speaker)


def term_hasher(digester: Digester) -> TermHasher:
    """Deleted words must not be guessed from their hashes: these are keyed."""
    return TermHasher(digester.derived(b"terms"))


class IndexEncoder:
    """Computes index entries and vectors in the calling thread, without waiting for anything.

    Args:
        digester: The database's.
        space: The number of the vector space.
        embedder: Makes vectors; None if the embedder in use does not compute in the
            calling thread.
    """

    def __init__(self, digester: Digester, space: int, embedder: InlineEmbedder | None) -> None:
        self.digester = digester
        self.space = space
        self.hasher = term_hasher(digester)
        self._embedder = embedder

    @property
    def embeds(self) -> bool:
        """Whether it makes vectors."""
        return self._embedder is not None

    @property
    def version(self) -> int:
        """Of the analysis that makes the entries."""
        return entry.VERSION

    def entries(self, passages: Sequence[Passage]) -> list[bytes]:
        """Words and features of each passage."""
        return encode_entries([analyse(*passage) for passage in passages], self.hasher)

    def vectors(self, passages: Sequence[Passage]) -> list[bytes]:
        """The vector of each passage; only with an embedder.

        Raises:
            EmbedderRefusedError: The model cannot be used.
        """
        assert self._embedder is not None  # noqa: S101  (for the type checker)
        texts = [passage.embedded for passage in passages]
        return encode_vectors(self._embedder.embed_now(texts, Purpose.DOCUMENT))
