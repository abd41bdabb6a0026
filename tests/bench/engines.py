"""What the retrieval benchmark can search with."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol

import grpc

from palimpsest.v1.documents_pb2 import (
    DOCUMENT_STATUS_DONE,
    SearchDocumentsRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from palimpsest.v1.memories_pb2 import CreateMemoriesRequest, NewMemory, SearchMemoriesRequest
from palimpsest.v1.memories_pb2_grpc import MemoriesStub
from service.search.words import split_words, term_of
from tests.bench.collections import Collection, Passage
from tests.harness import Server


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


class Service:
    """A running service, asked over gRPC by its stubs."""

    def __init__(self, server: Server) -> None:
        self._channel = grpc.aio.insecure_channel(server.address)
        self._documents = DocumentsStub(self._channel)
        self._memories = MemoriesStub(self._channel)
        self._key = (("authorization", f"Bearer {server.key}"),)
        self._mode: dict[str, Mode] = {}
        self._keys: dict[tuple[str, int], str] = {}
        """Of passages: by document and position, or by memory and 0."""

    async def index(self, collection: Collection, mode: Mode) -> None:
        self._mode[collection.name] = mode
        if mode is Mode.MEMORIES:
            await self._remember(collection)
            return
        for number, document in enumerate(collection.documents):
            request = UpsertDocumentRequest(
                custom_id=f"{collection.name}:{number}",
                container_tags=[_container(collection.name, mode)],
                wait=True,
            )
            for position, passage in enumerate(document.passages):
                self._keys[request.custom_id, position] = passage.key
                message = request.conversation.messages.add(
                    speaker=passage.speaker, text=passage.text
                )
                if passage.instant is not None:
                    message.time.FromMicroseconds(passage.instant)
            if not document.passages:
                continue
            answer = await self._documents.UpsertDocument(request, metadata=self._key, timeout=600)
            if answer.receipt.status != DOCUMENT_STATUS_DONE:
                raise RuntimeError(f"{document.name} was not processed: {answer.receipt}")

    async def _remember(self, collection: Collection) -> None:
        passages = [p for document in collection.documents for p in document.passages]
        for start in range(0, len(passages), 100):
            some = passages[start : start + 100]
            answer = await self._memories.CreateMemories(
                CreateMemoriesRequest(
                    container_tag=_container(collection.name, Mode.MEMORIES),
                    memories=[_new(passage) for passage in some],
                ),
                metadata=self._key,
            )
            for passage, receipt in zip(some, answer.receipts, strict=True):
                self._keys[receipt.id, 0] = passage.key

    async def search(self, collection: str, question: str, limit: int) -> list[Found]:
        mode = self._mode[collection]
        tags = [_container(collection, mode)]
        if mode is Mode.MEMORIES:
            memories = await self._memories.SearchMemories(
                SearchMemoriesRequest(query=question, container_tags=tags, limit=limit),
                metadata=self._key,
            )
            return [Found(self._keys[hit.memory.id, 0], hit.score) for hit in memories.hits]
        answer = await self._documents.SearchDocuments(
            SearchDocumentsRequest(query=question, container_tags=tags, limit=limit),
            metadata=self._key,
        )
        found = [
            Found(self._keys[hit.document.custom_id, chunk.chunk.position], chunk.score)
            for hit in answer.hits
            for chunk in hit.chunks
        ]
        return sorted(found, key=lambda one: -one.score)

    async def close(self) -> None:
        await self._channel.close()


def _new(passage: Passage) -> NewMemory:
    memory = NewMemory(content=_memory(passage).text)
    if passage.instant is not None:
        moment = datetime.fromtimestamp(passage.instant / 1_000_000, UTC)
        memory.temporal_context.document_date = moment.date().isoformat()
    return memory


def _container(collection: str, mode: Mode) -> str:
    return f"{mode.name}:{collection}"


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
