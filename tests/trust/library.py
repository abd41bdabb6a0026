"""A few texts made searchable in this process, with the embedder that is the default.

What the service computes from a text when it is stored and from a query when it is
searched, and nothing else: no server, no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from service.core.digests import Digester
from service.core.times import parse_moment
from service.embedding.base import InlineEmbedder, Purpose
from service.embedding.static import StaticEmbedder
from service.pipeline.encoder import IndexEncoder, Passage
from service.search.hashed_query import hash_query, text_to_embed
from service.search.ranking import Parts, rank
from service.search.scope import Scope
from service.search.segment import Item, ItemKind, Segment
from service.search.weights import calibration

_DIGESTER = Digester(b"the secret of the tests of trust")


@dataclass(frozen=True, slots=True)
class Stored:
    """A text and what is known about it. Those of one `document` are its chunks, in order."""

    text: str
    speaker: str = ""
    time: str = ""
    """RFC 3339; "" if unknown."""

    document: str = ""
    """"" for a memory."""


class Found(NamedTuple):
    """A result of a search."""

    number: int
    """Of the text among those that the library was made of."""

    score: float
    lacking: tuple[str, ...]
    """The numbers and codes of the query that it does not hold."""

    sharing: int
    """How many texts are equal to it, itself included."""

    parts: Parts


@cache
def embedder() -> InlineEmbedder:
    """The default embedder, loaded once in a process."""
    return StaticEmbedder()


class Library:
    """Texts that can be searched.

    Args:
        items: Memories, given by their text alone or with what is known about them; or chunks.
    """

    def __init__(self, items: Sequence[Stored | str]) -> None:
        stored = [Stored(item) if isinstance(item, str) else item for item in items]
        self._encoder = IndexEncoder(_DIGESTER, 0, embedder())
        passages = [
            Passage(item.text, "", item.speaker, *(parse_moment(item.time) or ()))
            for item in stored
        ]
        self._calibration = calibration(embedder().name)
        self._segment = Segment(embedder().dimension, self._calibration.neighbourhood)
        entries, vectors = self._encoder.entries(passages), self._encoder.vectors(passages)
        self._segment.put(
            [
                Item(
                    f"{number:06}",
                    ItemKind.CHUNK if item.document else ItemKind.MEMORY,
                    entry,
                    _DIGESTER.content(item.text),
                    vector,
                    item.document,
                    number,
                )
                for number, (item, entry, vector) in enumerate(
                    zip(stored, entries, vectors, strict=True)
                )
            ]
        )

    def search(self, query: str, limit: int = 10, *, distinct: bool = True) -> list[Found]:
        """The best texts, best first; those that are equal once if `distinct`."""
        everything = self._segment.eligible(ItemKind.MEMORY | ItemKind.CHUNK, 0)
        scopes = [Scope(self._segment, everything)]
        asked = hash_query(query, self._encoder.hasher)
        (vector,) = embedder().embed_now([text_to_embed(asked, scopes)], Purpose.QUERY)
        hits = rank(scopes, asked.near(vector), self._calibration, limit, distinct=distinct)
        return [Found(int(hit.id), hit.score, hit.lacking, hit.sharing, hit.parts) for hit in hits]

    def best(self, query: str) -> float:
        """The score of the best text; 0 if none is found."""
        return max((found.score for found in self.search(query, 1)), default=0.0)

    def forget(self, query: str, min_score: float) -> set[int]:
        """Those that forgetting by this query would take."""
        return taken(self.search(query, len(self._segment), distinct=False), min_score)


def taken(hits: Iterable[Found], min_score: float) -> set[int]:
    """Which of the hits of a query forgetting by it would take."""
    return {hit.number for hit in hits if hit.score >= min_score and not hit.lacking}
