"""Requests of the benchmark, and what a database holds before it."""

from __future__ import annotations

import random
from collections.abc import Iterator

from palimpsest.v1.documents_pb2 import (
    BatchUpsertDocumentsRequest,
    BatchUpsertDocumentsResponse,
    UpsertDocumentRequest,
)
from palimpsest.v1.filter_pb2 import Condition, Filter
from palimpsest.v1.memories_pb2 import (
    CreateMemoriesRequest,
    CreateMemoriesResponse,
    NewMemory,
)
from tests.bench.load import Target

DOCUMENT_BYTES = 1024
BATCH = 500
FILLED = "filled"
_RANDOM = random.Random(1)
_WORDS = ["".join(_RANDOM.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(2000)]


def text() -> str:
    return " ".join(_RANDOM.choices(_WORDS, k=DOCUMENT_BYTES // 8))


def document(number: int, container: str) -> UpsertDocumentRequest:
    """A new document of 1 KB; every other one matches `half_of_them`."""
    request = UpsertDocumentRequest(content=text(), container_tags=[container])
    request.metadata.update(
        {"stage": ("draft", "final")[number % 2], "number": number, "author": "ann"}
    )
    return request


def half_of_them() -> Filter:
    return Filter(condition=Condition(key="stage", equals_string="draft"))


def new_documents(count: int, container: str = "new") -> list[bytes]:
    return [document(n, container).SerializeToString() for n in range(count)]


def batches(count: int, container: str) -> Iterator[tuple[int, bytes]]:
    """Requests that together make so many documents, each with its size."""
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        items = [document(n, container) for n in numbers]
        yield len(numbers), BatchUpsertDocumentsRequest(items=items).SerializeToString()


def made_ids(answer: bytes) -> list[str]:
    outcomes = BatchUpsertDocumentsResponse.FromString(answer).outcomes
    return [outcome.receipt.id for outcome in outcomes]


def new_memories(count: int) -> list[bytes]:
    """A CreateMemories of one memory each."""
    return [
        CreateMemoriesRequest(
            container_tag="bench", memories=[NewMemory(content=f"Fact {n}: {text()[:80]}")]
        ).SerializeToString()
        for n in range(count)
    ]


async def memories(target: Target, count: int) -> list[str]:
    """Ids of so many new memories."""
    call, ids = target.call("Memories/CreateMemories"), list[str]()
    for start in range(0, count, 100):
        request = CreateMemoriesRequest(
            container_tag="bench",
            memories=[
                NewMemory(content=f"Fact {n}: {text()[:80]}")
                for n in range(start, min(start + 100, count))
            ],
        )
        answer = CreateMemoriesResponse.FromString(await call(request.SerializeToString()))
        ids.extend(receipt.id for receipt in answer.receipts)
    return ids
