"""What the retrieval benchmark can search with."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import blake2b
from typing import Protocol

from service.embedding.base import Embedder, Purpose
from service.search.analysis import analyse, embedding_text
from service.search.entry import TermHasher, encode_entry, encode_vectors
from service.search.query import make_query, text_to_embed
from service.search.ranking import rank
from service.search.scope import Scope
from service.search.segment import Item, Kind, Segment
from service.search.weights import Calibration, calibration
from service.search.words import split_words, term_of
from tests.bench.collections import Collection, Passage

_HASHER = TermHasher(b"a secret of the benchmark")


class Mode(Enum):
    """How passages are stored."""

    DOCUMENTS = "documents: each passage a chunk, beside those before and after it"
    MEMORIES = "memories: each passage by itself"


@dataclass(frozen=True, slots=True)
class Found:
    key: str
    score: float


class Engine(Protocol):
    async def index(self, collection: Collection, mode: Mode) -> None:
        """Make a collection searchable under its name."""

    async def search(self, collection: str, question: str, limit: int) -> list[Found]:
        """The best passages of a collection, best first."""


class Modules:
    """The search modules, called directly."""

    def __init__(self, embedder: Embedder | None) -> None:
        self._embedder = embedder
        self._segments: dict[str, Segment] = {}

    @property
    def calibration(self) -> Calibration:
        return calibration(self._embedder.name if self._embedder else "")

    async def index(self, collection: Collection, mode: Mode) -> None:
        passages = [
            (document.name if mode is Mode.DOCUMENTS else "", position, passage)
            for document in collection.documents
            for position, passage in enumerate(document.passages)
        ]
        if mode is Mode.MEMORIES:
            passages = [(group, at, _memory(passage)) for group, at, passage in passages]
        vectors: list[bytes | None] = [None] * len(passages)
        if self._embedder:
            texts = [embedding_text(p.text, speaker=p.speaker) for _, _, p in passages]
            vectors = [*encode_vectors(await self._embedder.embed(texts, Purpose.DOCUMENT))]
        segment = Segment(
            self._embedder.dimension if self._embedder else 0, self.calibration.neighbourhood
        )
        segment.put(
            [
                Item(
                    id=passage.key,
                    kind=Kind.CHUNK if mode is Mode.DOCUMENTS else Kind.MEMORY,
                    entry=encode_entry(
                        analyse(passage.text, speaker=passage.speaker, instant=passage.instant),
                        _HASHER,
                    ),
                    digest=blake2b(passage.key.encode()).digest(),
                    vector=vector,
                    group=group,
                    position=position,
                )
                for (group, position, passage), vector in zip(passages, vectors, strict=True)
            ]
        )
        self._segments[collection.name] = segment

    async def search(self, collection: str, question: str, limit: int) -> list[Found]:
        segment = self._segments[collection]
        scope = Scope(segment, segment.eligible(Kind.CHUNK | Kind.MEMORY, at=0))
        vector = None
        if self._embedder:
            text = text_to_embed(question, _HASHER, [scope])
            (vector,) = await self._embedder.embed([text], Purpose.QUERY)
        query = make_query(question, _HASHER, vector)
        return [Found(hit.id, hit.score) for hit in rank([scope], query, self.calibration, limit)]


class PlainBm25:
    """SQLite's FTS5 with Porter's stemmer, its BM25, and stop words left out of the query."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:")
        self._database.execute(
            "CREATE VIRTUAL TABLE passages USING fts5(collection UNINDEXED, key UNINDEXED, text, "
            "tokenize = 'porter unicode61')"
        )

    async def index(self, collection: Collection, mode: Mode) -> None:
        self._database.executemany(
            "INSERT INTO passages VALUES (?, ?, ?)",
            [
                (collection.name, passage.key, _memory(passage).text)
                for document in collection.documents
                for passage in document.passages
            ],
        )

    async def search(self, collection: str, question: str, limit: int) -> list[Found]:
        words = [word for word in split_words(question) if term_of(word)]
        rows = self._database.execute(
            "SELECT key, -bm25(passages) FROM passages "
            "WHERE passages MATCH ? AND collection = ? ORDER BY 2 DESC LIMIT ?",
            (" OR ".join(f'"{word}"' for word in words) or '""', collection, limit),
        )
        return [Found(key, score) for key, score in rows]


def _memory(passage: Passage) -> Passage:
    """A passage as a statement by itself, which names its speaker."""
    if not passage.speaker:
        return passage
    return replace(passage, text=f"{passage.speaker}: {passage.text}", speaker="")
