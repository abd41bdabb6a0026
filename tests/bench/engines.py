"""What the retrieval benchmark searches with: what the engines have in common, and plain BM25."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import Protocol

from tests.bench.collections import Collection, Passage

CHUNKS_OF_A_TEXT = 3
"""So many chunks are asked for to find one text more, since several may be of one text."""


class Mode(Enum):
    """How passages are stored."""

    DOCUMENTS = "documents: each passage a chunk, beside those before and after it"
    TEXTS = "texts: each passage a document, which is divided into chunks"
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

    async def close(self) -> None:
        """Release what it holds."""


_STOP_WORDS = frozenset(
    (
        *("a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at"),
        *("be", "because", "been", "before", "being", "but", "by", "can", "could", "did", "do"),
        *("does", "doing", "for", "from", "had", "has", "have", "having", "he", "her", "here"),
        *("him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "like", "may"),
        *("me", "might", "more", "most", "my", "no", "not", "of", "off", "on", "once", "only"),
        *("or", "other", "our", "out", "over", "own", "s", "same", "she", "should", "so", "some"),
        *("such", "t", "than", "that", "the", "their", "them", "then", "there", "these", "they"),
        *("this", "those", "through", "to", "too", "under", "until", "up", "us", "very", "was"),
        *("we", "were", "what", "when", "where", "which", "while", "who", "whose", "why", "will"),
        *("with", "would", "you", "your"),
    )
)
_WORD = re.compile(r"[^\W_]+")


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
                (collection.name, passage.key, as_memory(passage).text)
                for document in collection.documents
                for passage in document.passages
            ],
        )

    async def search(self, collection: str, question: str, limit: int) -> list[Found]:
        words = [word for word in _WORD.findall(question.lower()) if word not in _STOP_WORDS]
        rows = self._database.execute(
            "SELECT key, -bm25(passages) FROM passages "
            "WHERE passages MATCH ? AND collection = ? ORDER BY 2 DESC LIMIT ?",
            (" OR ".join(f'"{word}"' for word in words) or '""', collection, limit),
        )
        return [Found(key, score) for key, score in rows]

    async def close(self) -> None:
        self._database.close()


def once_each(found: Sequence[Found], limit: int) -> list[Found]:
    """The best of each key, in order."""
    best: dict[str, Found] = {}
    for one in found:
        best.setdefault(one.key, one)
    return list(islice(best.values(), limit))


def as_memory(passage: Passage) -> Passage:
    """A passage as a statement by itself, which names its speaker."""
    if not passage.speaker:
        return passage
    return replace(passage, text=f"{passage.speaker}: {passage.text}", speaker="")
