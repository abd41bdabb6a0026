"""Searches, with results formatted for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from palimpsest.v1.documents_pb2 import SearchDocumentsRequest
from palimpsest.v1.memories_pb2 import SearchMemoriesRequest
from service.client.connection import Connection
from service.client.printable import one_line, printable

_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Result:
    """One hit: its score from 0 to 1, its source, and its text in one line.

    Source and text are safe to print.
    """

    score: float
    source: str
    text: str


class Question(NamedTuple):
    """What to search for; named as in the requests.

    Attributes:
        query: Words or a question.
        container_tags: Where to look; empty: in all that the key may see.
        limit: How many hits at most.
        must_contain: Phrases that a hit has, each of them.
        must_not_contain: Phrases that a hit does not have, none of them.
    """

    query: str
    container_tags: Sequence[str]
    limit: int
    must_contain: Sequence[str] = ()
    must_not_contain: Sequence[str] = ()


def search_documents(connection: Connection, question: Question) -> list[Result]:
    """Chunks, best first; raises ServerError."""
    request = SearchDocumentsRequest(**question._asdict())
    answer = connection.call(connection.documents.SearchDocuments, request)
    results = [
        Result(
            chunk.score,
            " > ".join(
                one_line(part)
                for part in (
                    hit.document.custom_id or hit.document.title or hit.document.id,
                    chunk.chunk.heading,
                    chunk.chunk.speaker,
                )
                if part
            )
            + _others(chunk.same_text_count),
            _excerpt(chunk.chunk.text),
        )
        for hit in answer.hits
        for chunk in hit.chunks
    ]
    return sorted(results, key=lambda result: -result.score)


def search_memories(connection: Connection, question: Question) -> list[Result]:
    """Memories, best first; raises ServerError."""
    request = SearchMemoriesRequest(**question._asdict())
    answer = connection.call(connection.memories.SearchMemories, request)
    return [
        Result(
            hit.score,
            printable(f"{hit.memory.container_tag} {hit.memory.id}") + _others(hit.same_text_count),
            _excerpt(hit.memory.content),
        )
        for hit in answer.hits
    ]


def _others(same_text_count: int) -> str:
    return f" and {same_text_count - 1} more of this text" if same_text_count > 1 else ""


def _excerpt(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
