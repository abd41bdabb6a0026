"""English texts and questions about them: sentences of Python's own documentation, newly mixed.

Random letters would do for a database. An index needs words as people use them,
some in every text and most in few, and an embedder tokens of their usual length.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pydoc_data.topics import topics

from palimpsest.v1.documents_pb2 import (
    BatchUpsertDocumentsRequest,
    SearchDocumentsRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.memories_pb2 import CreateMemoriesRequest, NewMemory, SearchMemoriesRequest
from tests.bench.data import half_of_them

DOCUMENT_CHARACTERS = 1024
BATCH = 500
MEMORIES = 100
QUESTION_WORDS = 7

_random = random.Random(4)
_SENTENCE = re.compile(r"[A-Z][A-Za-z ,.'\"()*;:`_-]{50,190}[.:;]")


def _sentences() -> list[str]:
    paragraphs = re.split(r"\n\s*\n", "\n\n".join(topics.values()))
    parts = (
        part for text in paragraphs for part in re.split(r"(?<=[.:;])\s+", " ".join(text.split()))
    )
    return sorted({part for part in parts if _SENTENCE.fullmatch(part)})


SENTENCES = _sentences()


def document_text() -> str:
    """1 KB of sentences, in paragraphs of four."""
    lines, length = list[str](), 0
    while length < DOCUMENT_CHARACTERS:
        lines.append(_random.choice(SENTENCES))
        length += len(lines[-1]) + 1
    paragraphs = (" ".join(lines[start : start + 4]) for start in range(0, len(lines), 4))
    return "\n\n".join(paragraphs)[:DOCUMENT_CHARACTERS]


def memory_text(number: int) -> str:
    """A statement of a sentence, unlike every other."""
    return f"Note {number}: {_random.choice(SENTENCES)}"


def question() -> str:
    words = _random.choice(SENTENCES).split()
    start = _random.randrange(max(1, len(words) - QUESTION_WORDS))
    return f"What about {' '.join(words[start : start + QUESTION_WORDS])}?"


def documents(texts: list[str], container: str) -> list[bytes]:
    """An UpsertDocument for each text."""
    return [
        UpsertDocumentRequest(content=text, container_tags=[container]).SerializeToString()
        for text in texts
    ]


def document_batches(texts: list[str], container: str) -> Iterator[bytes]:
    """BatchUpsertDocuments that together write the texts."""
    for start in range(0, len(texts), BATCH):
        items = [
            UpsertDocumentRequest(content=text, container_tags=[container])
            for text in texts[start : start + BATCH]
        ]
        yield BatchUpsertDocumentsRequest(items=items).SerializeToString()


def memory_batches(count: int, container: str) -> Iterator[bytes]:
    """CreateMemories that together write so many; every other one matches `half_of_them`."""
    for start in range(0, count, MEMORIES):
        request = CreateMemoriesRequest(container_tag=container)
        for number in range(start, min(start + MEMORIES, count)):
            memory = NewMemory(content=memory_text(number))
            memory.metadata["stage"] = ("draft", "final")[number % 2]
            request.memories.append(memory)
        yield request.SerializeToString()


def memory_searches(count: int, container: str, *, filtered: bool = False) -> list[bytes]:
    """SearchMemories with a question each, each put once."""
    return [
        SearchMemoriesRequest(
            query=question(),
            container_tags=[container],
            filter=half_of_them() if filtered else None,
        ).SerializeToString()
        for _ in range(count)
    ]


def document_searches(count: int, container: str) -> list[bytes]:
    """SearchDocuments with a question each, each put once."""
    return [
        SearchDocumentsRequest(query=question(), container_tags=[container]).SerializeToString()
        for _ in range(count)
    ]
