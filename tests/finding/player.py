"""Plays random steps on a service and on the world that is its measure."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.filter_pb2 import Filter
from service.core.conversations import Message
from tests.client import struct
from tests.finding.lab import Lab, laboratory, until, where
from tests.finding.words import WordsEmbedder
from tests.finding.world import Chain, Document, Passage, Span, Version, World, judge
from tests.inprocess import ManualClock

KEYS = ("a", "b")
EMBEDDERS = ("wordllama-one", "wordllama-two")
"""Names that are calibrated as the reference is."""


class Player:
    """Every public method is a step; what a step does not fit is left out."""

    def __init__(self, directory: Path) -> None:
        self.world = World()
        self.clock = ManualClock()
        self.stamps: list[Timestamp] = []
        self.searches = 0
        self._directory = directory
        self._stack = AsyncExitStack()
        self._starts = 0
        self._lab: Lab | None = None

    @property
    def lab(self) -> Lab:
        assert self._lab is not None
        return self._lab

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
                self.stamps.append(self.clock.tick())
                await getattr(self, name)(**arguments)
            assert self.lab.check() == []
        finally:
            await self._stack.aclose()

    async def _start(self) -> None:
        self._lab = await self._stack.enter_async_context(
            laboratory(self._directory, self.clock, embedder=self.embedder.name)
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
            return not self.lab.rows(rows, name=name)

        await until(reindexed)

    # Documents

    async def put(self, name: str, tags: list[str], text: str, title: str, key: str) -> None:
        document = self._made(name, tags)
        receipt = await self.lab.client.put(
            text,
            custom_id=name,
            container_tags=[] if document.id else tags,
            title=title,
            metadata={"k": key},
            wait=True,
        )
        document.id, document.text, document.messages = receipt.id, text, []
        document.title, document.key = title, key

    async def append(self, name: str, tags: list[str], said: list[tuple[str, str, int]]) -> None:
        document = self.world.documents.get(name)
        if document is not None and document.text:
            return
        document = self._made(name, tags)
        messages = [
            Message(speaker, text, day * 86_400_000_000 or None) for speaker, text, day in said
        ]
        answer = await self.lab.client.documents.AppendMessages(
            d.AppendMessagesRequest(
                id=name,
                create_if_missing=True,
                container_tags=[] if document.id else tags,
                messages=[
                    d.ConversationMessage(
                        speaker=one.speaker,
                        text=one.text,
                        time=Timestamp(seconds=one.instant // 1_000_000) if one.instant else None,
                    )
                    for one in messages
                ],
                wait=True,
            )
        )
        document.id = answer.receipt.id
        document.messages += messages

    def _made(self, name: str, tags: list[str]) -> Document:
        return self.world.documents.setdefault(name, Document("", set(tags)))

    async def change(self, name: str, tags: list[str], title: str | None, key: str) -> None:
        document = self.world.documents.get(name)
        if document is None:
            return
        request = d.UpdateDocumentRequest(
            id=name, metadata=struct({"k": key}), container_tags=tags, wait=True
        )
        if title is not None:
            request.title = document.title = title
        await self.lab.client.documents.UpdateDocument(request)
        document.key, document.containers = key, set(tags)

    async def delete(self, name: str) -> None:
        await self.lab.client.documents.DeleteDocument(
            d.DeleteDocumentRequest(id=name, allow_missing=True)
        )
        self.world.documents.pop(name, None)

    async def empty(self, tag: str) -> None:
        await self.lab.client.documents.BulkDeleteDocuments(
            d.BulkDeleteDocumentsRequest(container_tags=[tag])
        )
        for name, document in list(self.world.documents.items()):
            document.containers.discard(tag)
            if not document.containers:
                del self.world.documents[name]

    # Memories

    async def remember(self, tag: str, text: str, key: str, seconds: float) -> None:
        memory = m.NewMemory(content=text, metadata=struct({"k": key}))
        expires = None
        if seconds:
            memory.forget_after.CopyFrom(self.clock.stamp(seconds))
            expires = memory.forget_after.ToMicroseconds()
        (receipt,) = await self.lab.client.remember(memory, container=tag)
        version = Version(receipt.id, text, key, [Span(self.soon, expires)])
        self.world.chains.append(Chain(tag, [version]))

    async def revise(self, number: int, text: str, key: str) -> None:
        chain = self._chain(number, shown=True)
        if chain is None:
            return
        answer = await self.lab.client.memories.UpdateMemory(
            m.UpdateMemoryRequest(
                container_tag=chain.container,
                id=chain.latest.id,
                new_content=text,
                metadata=struct({"k": key}),
            )
        )
        old = chain.latest.spans[-1]
        old.ended = chain.latest.superseded = self.soon
        chain.versions.append(Version(answer.receipt.id, text, key, [Span(self.soon, old.expires)]))

    async def forget(self, number: int) -> None:
        chain = self._chain(number, shown=True)
        if chain is not None:
            await self.lab.client.memories.ForgetMemory(
                m.ForgetMemoryRequest(container_tag=chain.container, id=chain.latest.id)
            )
            chain.latest.spans[-1].ended = self.soon

    async def restore(self, number: int) -> None:
        chain = self._chain(number, shown=False)
        if chain is not None:
            await self.lab.client.memories.RestoreMemory(
                m.RestoreMemoryRequest(container_tag=chain.container, id=chain.latest.id)
            )
            expires = chain.latest.spans[-1].expires
            ahead = expires if expires is not None and expires > self.now else None
            chain.latest.spans.append(Span(self.soon, ahead))

    async def erase(self, number: int) -> None:
        if self.world.chains:
            chain = self.world.chains.pop(number % len(self.world.chains))
            await self.lab.client.memories.DeleteMemory(
                m.DeleteMemoryRequest(container_tag=chain.container, id=chain.latest.id)
            )

    def _chain(self, number: int, *, shown: bool) -> Chain | None:
        fitting = [
            chain for chain in self.world.chains if chain.latest.spans[-1].shows(self.now) is shown
        ]
        return fitting[number % len(fitting)] if fitting else None

    async def pass_time(self, seconds: int, sweep: bool) -> None:
        self.clock.advance(seconds)
        if sweep:
            await self.lab.service.store.sweep()

    # Searches

    async def search_documents(
        self, query: str, tags: list[str], key: str, negated: bool, limit: int, floor: float
    ) -> None:
        found = await self.lab.search(
            query,
            container_tags=tags,
            limit=limit,
            min_score=floor,
            filter=_filter(key, negated=negated),
        )
        named = [
            (f"{chunk.chunk.document_id} {chunk.chunk.position:05}", chunk.score)
            for hit in found
            for chunk in hit.chunks
        ]
        named.sort(key=lambda pair: -pair[1])
        eligible = self.world.chunks(tags, _keys(key, negated=negated))
        self._judge(named, eligible, query, limit, floor)

    async def search_memories(
        self,
        query: str,
        tags: list[str],
        key: str,
        negated: bool,
        limit: int,
        floor: float,
        past: int,
        forgotten: bool,
        history: bool,
        chunks: bool,
    ) -> None:
        then = self.stamps[-1 - past % len(self.stamps)] if past else None
        chunks = chunks and then is None
        hits = await self.lab.memories(
            query,
            container_tags=tags,
            limit=limit,
            min_score=floor,
            filter=_filter(key, negated=negated),
            as_of=then,
            include_forgotten=forgotten,
            include_history=history,
            include_chunks=chunks,
        )
        named = [
            (
                hit.memory.id or f"{hit.chunk.document_id} {hit.chunk.position:05}",
                hit.score,
            )
            for hit in hits
        ]
        at = self.now if then is None else then.ToMicroseconds()
        keys = _keys(key, negated=negated)
        eligible = self.world.memories(tags, keys, at, forgotten=forgotten, history=history)
        if chunks:
            eligible += self.world.chunks(tags, keys)
        self._judge(named, eligible, query, limit, floor)

    def _judge(
        self,
        named: list[tuple[str, float]],
        eligible: list[Passage],
        query: str,
        limit: int,
        floor: float,
    ) -> None:
        self.searches += 1
        judge(named, eligible, self.embedder, query, limit, floor)


def _filter(key: str, *, negated: bool) -> Filter | None:
    if not key:
        return None
    return Filter(negated=where("k", key)) if negated else where("k", key)


def _keys(key: str, *, negated: bool) -> tuple[str, ...]:
    """The values that the filter lets through; "" is a document without one."""
    if not key:
        return ("", *KEYS)
    return tuple(other for other in ("", *KEYS) if (other == key) is not negated)
