"""Plays random writes on a service and on the model that is its measure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from service.core.conversations import Message
from tests.client import refused, struct
from tests.finding.search_model import Chain, Document, SearchModel, Span, Version
from tests.finding.service_harness import ServiceHarness, running_harness
from tests.finding.words import WordsEmbedder
from tests.inprocess import ManualClock
from tests.waiting import until

Said: TypeAlias = tuple[str, str, int]
"""Speaker, text, and day since 1970; 0 for none."""

Body: TypeAlias = str | list[Said]
"""Of a document: a text, or messages."""

EMBEDDERS = ("wordllama-one", "wordllama-two")
"""Names that are calibrated as the reference is."""


class RandomWrites:
    """Every public method is a step; what a step does not fit is left out.

    Args:
        directory: Where the database lies.
        options: Of `running_service`.
    """

    def __init__(self, directory: Path, **options: Any) -> None:
        self.model = SearchModel()
        self.clock = ManualClock()
        self.stamps: list[Timestamp] = []
        self.searches = self.steps = 0
        self.batches: list[tuple[str, str, set[str]]] = []
        """Of those that were forgotten together: container, name and memories."""
        self._directory = directory
        self._options = options
        self._stack = AsyncExitStack()
        self._starts = 0
        self._harness: ServiceHarness | None = None

    @property
    def harness(self) -> ServiceHarness:
        assert self._harness is not None
        return self._harness

    @property
    def embedder(self) -> WordsEmbedder:
        return WordsEmbedder(EMBEDDERS[self._starts % 2])

    @property
    def now(self) -> int:
        """The instant of the step, before anything of it."""
        return self.stamps[-1].ToMicroseconds()

    @property
    def soon(self) -> int:
        """When what the step changes is changed."""
        return self.now + 1

    async def play(self, steps: list[tuple[str, dict[str, Any]]]) -> None:
        await self._start()
        try:
            for name, arguments in steps:
                self.steps += 1
                self.stamps.append(self.clock.tick())
                await getattr(self, name)(**arguments)
            assert self.harness.check() == []
        finally:
            await self._stack.aclose()

    async def _start(self) -> None:
        self._harness = await self._stack.enter_async_context(
            running_harness(
                self._directory, self.clock, embedder=self.embedder.name, **self._options
            )
        )

    async def restart(self) -> None:
        """With the other embedder: everything is indexed anew."""
        await self._stack.aclose()
        self._starts += 1
        await self._start()
        name = self.embedder.name

        async def reindexed() -> bool:
            other = "WHERE embedder <> (SELECT id FROM embedders WHERE name = :name)"
            rows = f"SELECT id FROM memories {other} UNION ALL SELECT chunk_id FROM chunks {other}"
            return not self.harness.rows(rows, name=name)

        await until(reindexed)

    # Documents

    async def put(self, name: str, tags: list[str], text: str, title: str, key: str) -> None:
        document = self._made(name, tags)
        receipt = await self.harness.client.put(
            text,
            custom_id=name,
            container_tags=[] if document.id else tags,
            title=title,
            metadata={"k": key},
            wait=True,
        )
        document.id, document.text, document.messages = receipt.id, text, []
        document.title, document.key = title, key

    async def put_together(self, items: list[tuple[str, list[str], Body]]) -> None:
        """Texts and conversations, each in place of what was there."""
        request = d.BatchUpsertDocumentsRequest(wait=True)
        documents = [self._made(name, tags) for name, tags, _ in items]
        for document, (name, tags, body) in zip(documents, items, strict=True):
            item = request.items.add(custom_id=name, container_tags=[] if document.id else tags)
            if isinstance(body, str):
                item.content = document.text = body
                document.messages = []
            else:
                document.text, document.messages = "", _messages(body)
                item.conversation.messages.extend(map(_sent, document.messages))
        answer = await self.harness.client.documents.BatchUpsertDocuments(request)
        for document, outcome in zip(documents, answer.outcomes, strict=True):
            document.id = outcome.receipt.id

    async def append(self, name: str, tags: list[str], said: list[Said]) -> None:
        document = self.model.documents.get(name)
        if document is not None and document.text:
            return
        document = self._made(name, tags)
        messages = _messages(said)
        answer = await self.harness.client.documents.AppendMessages(
            d.AppendMessagesRequest(
                id=name,
                create_if_missing=True,
                container_tags=[] if document.id else tags,
                messages=map(_sent, messages),
                wait=True,
            )
        )
        document.id = answer.receipt.id
        document.messages += messages

    def _made(self, name: str, tags: list[str]) -> Document:
        return self.model.documents.setdefault(name, Document("", set(tags), self.soon))

    async def change(
        self, name: str, tags: list[str], text: str | None, title: str | None, key: str
    ) -> None:
        document = self.model.documents.get(name)
        if document is None:
            return
        request = d.UpdateDocumentRequest(
            id=name, metadata=struct({"k": key}), container_tags=tags, wait=True
        )
        if title is not None:
            request.title = document.title = title
        if text is not None:
            request.content = document.text = text
            document.messages = []
        await self.harness.client.documents.UpdateDocument(request)
        document.key, document.containers = key, set(tags)

    async def delete(self, name: str) -> None:
        await self.harness.client.documents.DeleteDocument(
            d.DeleteDocumentRequest(id=name, allow_missing=True)
        )
        self.model.documents.pop(name, None)

    async def empty(self, tag: str) -> None:
        await self.harness.client.documents.BulkDeleteDocuments(
            d.BulkDeleteDocumentsRequest(container_tags=[tag])
        )
        for name, document in list(self.model.documents.items()):
            document.containers.discard(tag)
            if not document.containers:
                del self.model.documents[name]

    # Memories

    async def remember(self, tag: str, text: str, key: str, seconds: float, static: bool) -> None:
        memory = m.NewMemory(content=text, metadata=struct({"k": key}), is_static=static)
        expires = None
        if seconds:
            memory.forget_after.CopyFrom(self.clock.stamp(seconds))
            expires = memory.forget_after.ToMicroseconds()
        (receipt,) = await self.harness.client.remember(memory, container=tag)
        version = Version(receipt.id, text, key, [Span(self.soon, expires)], static=static)
        self.model.chains.append(Chain(tag, [version]))

    async def revise(self, number: int, text: str, key: str) -> None:
        chain = self._chain(number, shown=True)
        if chain is None:
            return
        answer = await self.harness.client.memories.UpdateMemory(
            m.UpdateMemoryRequest(
                container_tag=chain.container,
                id=chain.latest.id,
                new_content=text,
                metadata=struct({"k": key}),
            )
        )
        old, spans = chain.latest, [Span(self.soon, chain.latest.spans[-1].expires)]
        old.spans[-1].ended = old.superseded = self.soon
        chain.versions.append(Version(answer.receipt.id, text, key, spans, static=old.static))

    async def forget(self, number: int) -> None:
        chain = self._chain(number, shown=True)
        if chain is not None:
            await self.harness.client.memories.ForgetMemory(
                m.ForgetMemoryRequest(container_tag=chain.container, id=chain.latest.id)
            )
            chain.latest.spans[-1].ended = self.soon

    async def restore(self, number: int) -> None:
        chain = self._chain(number, shown=False)
        if chain is not None:
            await self.harness.client.memories.RestoreMemory(
                m.RestoreMemoryRequest(container_tag=chain.container, id=chain.latest.id)
            )
            self._show_again(chain.latest)

    async def restore_together(self, number: int) -> None:
        """What a batch forgot, as far as it still keeps it forgotten."""
        if not self.batches:
            return
        tag, batch, names = self.batches[number % len(self.batches)]
        there = [chain.latest for chain in self.model.chains if names & chain.ids()]
        request = m.RestoreMemoriesRequest(container_tag=tag, forget_batch_id=batch)
        if not there:  # One whose memories are all deleted is gone as well.
            with refused(grpc.StatusCode.NOT_FOUND, "FORGET_BATCH_NOT_FOUND"):
                await self.harness.client.memories.RestoreMemories(request)
            return
        kept = [version for version in there if version.batch == batch]
        answer = await self.harness.client.memories.RestoreMemories(request)
        assert {receipt.id for receipt in answer.receipts} == {version.id for version in kept}
        for version in kept:
            self._show_again(version)

    def _show_again(self, version: Version) -> None:
        expires = version.spans[-1].expires
        ahead = expires if expires is not None and expires > self.now else None
        version.spans.append(Span(self.soon, ahead))
        version.batch = ""

    async def erase(self, number: int) -> None:
        if self.model.chains:
            chain = self.model.chains.pop(number % len(self.model.chains))
            await self.harness.client.memories.DeleteMemory(
                m.DeleteMemoryRequest(container_tag=chain.container, id=chain.latest.id)
            )

    def _chain(self, number: int, *, shown: bool) -> Chain | None:
        fitting = [
            chain for chain in self.model.chains if chain.latest.spans[-1].shows(self.now) is shown
        ]
        return fitting[number % len(fitting)] if fitting else None

    async def pass_time(self, seconds: int, sweep: bool) -> None:
        self.clock.advance(seconds)
        if sweep:
            await self.harness.service.store.sweep()


def _messages(said: Sequence[Said]) -> list[Message]:
    return [Message(speaker, text, day * 86_400_000_000 or None) for speaker, text, day in said]


def _sent(message: Message) -> d.ConversationMessage:
    instant = message.instant
    return d.ConversationMessage(
        speaker=message.speaker,
        text=message.text,
        time=Timestamp(seconds=instant // 1_000_000) if instant else None,
    )
