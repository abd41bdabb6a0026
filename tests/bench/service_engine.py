"""The retrieval benchmark's engine that is a running service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import grpc

from palimpsest.v1.documents_pb2 import (
    DOCUMENT_STATUS_DONE,
    SearchDocumentsRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from palimpsest.v1.memories_pb2 import CreateMemoriesRequest, NewMemory, SearchMemoriesRequest
from palimpsest.v1.memories_pb2_grpc import MemoriesStub
from tests.bench.collections import Collection, Passage
from tests.bench.engines import CHUNKS_OF_A_TEXT, Found, Mode, as_memory, once_each
from tests.harness import Server

IN_FLIGHT = 64
"""Documents that are written at once."""


class Service:
    """A running service, asked over gRPC by its stubs."""

    def __init__(self, server: Server) -> None:
        self._channel = grpc.aio.insecure_channel(server.address)
        self._documents = DocumentsStub(self._channel)
        self._memories = MemoriesStub(self._channel)
        self._key = (("authorization", f"Bearer {server.key}"),)
        self._mode: dict[str, Mode] = {}
        self._keys: dict[tuple[str, int], str] = {}
        """Of passages: by document and position, or by text or memory and 0."""

    async def index(self, collection: Collection, mode: Mode) -> None:
        self._mode[collection.name] = mode
        if mode is Mode.MEMORIES:
            await self._remember(collection)
            return
        requests = list(self._requests(collection, mode))
        for start in range(0, len(requests), IN_FLIGHT):
            await asyncio.gather(*map(self._upsert, requests[start : start + IN_FLIGHT]))

    def _requests(self, collection: Collection, mode: Mode) -> Iterator[UpsertDocumentRequest]:
        for number, document in enumerate(collection.documents):
            request = UpsertDocumentRequest(
                custom_id=f"{collection.name}:{number}",
                container_tags=[_container(collection.name, mode)],
                wait=True,
            )
            if mode is Mode.TEXTS:
                (passage,) = document.passages
                self._keys[request.custom_id, 0] = passage.key
                request.content = passage.text
            for position, passage in enumerate(document.passages if not request.content else ()):
                self._keys[request.custom_id, position] = passage.key
                message = request.conversation.messages.add(
                    speaker=passage.speaker, text=passage.text
                )
                if passage.instant is not None:
                    message.time.FromMicroseconds(passage.instant)
            if document.passages:
                yield request

    async def _upsert(self, request: UpsertDocumentRequest) -> None:
        answer = await self._documents.UpsertDocument(request, metadata=self._key, timeout=600)
        if answer.receipt.status != DOCUMENT_STATUS_DONE:
            raise RuntimeError(f"{request.custom_id} was not processed: {answer.receipt}")

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
        texts = mode is Mode.TEXTS
        answer = await self._documents.SearchDocuments(
            SearchDocumentsRequest(
                query=question,
                container_tags=tags,
                limit=limit * CHUNKS_OF_A_TEXT if texts else limit,
            ),
            metadata=self._key,
        )
        found = [
            Found(
                self._keys[hit.document.custom_id, 0 if texts else chunk.chunk.position],
                chunk.score,
            )
            for hit in answer.hits
            for chunk in hit.chunks
        ]
        return once_each(sorted(found, key=lambda one: -one.score), limit)

    async def close(self) -> None:
        await self._channel.close()


def _new(passage: Passage) -> NewMemory:
    memory = NewMemory(content=as_memory(passage).text)
    if passage.instant is not None:
        moment = datetime.fromtimestamp(passage.instant / 1_000_000, UTC)
        memory.temporal_context.document_date = moment.date().isoformat()
    return memory


def _container(collection: str, mode: Mode) -> str:
    return f"{mode.name}:{collection}"
