"""Deletion is deletion: what was processed and indexed, and then deleted, is in no file."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.store import SqliteStore
from tests.client import struct
from tests.deletion.markers import Markers, found_in
from tests.finding.service_harness import ServiceHarness

pytestmark = pytest.mark.slow

ROUNDS = 24
CALLS = 30
FILLER = "the quick brown fox jumps over the lazy dog and goes on its way. " * 12
SHARE = 0.02
"""Of the dead markers, how many page slack may keep until a scrub."""


@dataclass
class Thing:
    """A document or a memory, and the markers in what is stored of it."""

    name: str
    tag: str
    markers: set[str] = field(default_factory=set)


class Shelf:
    """Writes things that are full of markers, and writes over or deletes them."""

    def __init__(self, harness: ServiceHarness, chance: random.Random) -> None:
        self.markers = Markers()
        self.documents: list[Thing] = []
        self.memories: list[Thing] = []
        self._client = harness.client
        self._chance = chance
        self._made = 0

    def live(self) -> set[str]:
        return set[str]().union(*(thing.markers for thing in (*self.documents, *self.memories)))

    async def step(self) -> None:
        documents = self._client.documents
        choice = self._chance.random()
        if choice < 0.3 or not self.documents:
            self._made += 1
            await self._put(Thing(f"n{self._made}", self._chance.choice("xyz")))
        elif choice < 0.5:
            thing = self._take(self.documents)
            if thing is not None:
                await self._put(thing)
        elif choice < 0.7:
            thing = self._take(self.documents)
            if thing is not None:
                await documents.DeleteDocument(d.DeleteDocumentRequest(id=thing.name))
        else:
            await self._memory()

    def _take(self, things: list[Thing]) -> Thing | None:
        return things.pop(self._chance.randrange(len(things))) if things else None

    async def _put(self, thing: Thing) -> None:
        """Write it, or write over all of it."""
        marked = [self.markers.new(role) for role in ("title", "value", "one", "two", "three")]
        title, value, one, two, three = marked
        request = d.UpsertDocumentRequest(
            custom_id=thing.name,
            title=title,
            metadata=struct({"note": value}),
            container_tags=[thing.tag],
            wait=self._chance.random() < 0.5,
        )
        kind = self._chance.randrange(4)
        if kind == 0:
            request.conversation.messages.add(speaker=one, text=f"{FILLER}{two}")
            request.conversation.messages.add(speaker="Ann", image_caption=three)
        elif kind == 1:
            request.content_kind = d.CONTENT_KIND_MARKDOWN
            request.content = f"# {one}\n\n{FILLER}{two}\n\n## {three}\n\n{FILLER}"
        elif kind == 2:
            request.content_kind = d.CONTENT_KIND_HTML
            request.content = f"<h1>{one}</h1><p>{FILLER * 3}<i>{two}</i><p title='{three}'>x"
        else:
            request.content_kind = d.CONTENT_KIND_TEXT
            request.content = f"{one}\n\n{FILLER}{two}\n\n{FILLER}{three}"
        await self._client.documents.UpsertDocument(request)
        self.documents.append(Thing(thing.name, thing.tag, set(marked)))

    async def _memory(self) -> None:
        memories = self._client.memories
        thing = self._take(self.memories) if self._chance.random() < 0.7 else None
        marker = self.markers.new("memory")
        if thing is None:
            tag = self._chance.choice("xyz")
            (made,) = await self._client.remember(f"{FILLER[:99]}{marker}", container=tag)
            self.memories.append(Thing(made.id, tag, {marker}))
        elif self._chance.random() < 0.5:
            answer = await memories.UpdateMemory(
                m.UpdateMemoryRequest(container_tag=thing.tag, id=thing.name, new_content=marker)
            )
            self.memories.append(Thing(answer.receipt.id, thing.tag, {*thing.markers, marker}))
        else:
            await memories.DeleteMemory(
                m.DeleteMemoryRequest(container_tag=thing.tag, id=thing.name)
            )

    async def drop(self, tag: str) -> None:
        await self._client.containers.DeleteContainer(
            c.DeleteContainerRequest(container_tag=tag, allow_missing=True)
        )
        self.documents = [thing for thing in self.documents if thing.tag != tag]
        self.memories = [thing for thing in self.memories if thing.tag != tag]


async def test_nothing_that_was_indexed_and_deleted_is_in_any_file(harness: ServiceHarness) -> None:
    shelf = Shelf(harness, random.Random(8))
    for number in range(ROUNDS):
        await asyncio.gather(*(shelf.step() for _ in range(CALLS)))
        for tag in "xyz":
            await harness.search("quick brown fox", container_tags=[tag], limit=100)
        if number in (5, 11, 17):
            await shelf.drop("xyz"[number // 6])
    await harness.idle()
    live = shelf.live()
    dead = shelf.markers.others(live)
    assert len(live) > 100
    assert len(dead) > 300
    directory = harness.service.backend.folder

    store = harness.service.store
    assert isinstance(store, SqliteStore)
    assert await store.file.checkpoint()
    before = await asyncio.to_thread(found_in, directory)
    assert len(before & dead) <= SHARE * len(dead), shelf.markers.roles(before & dead)
    await asyncio.to_thread(SqliteAdministration(store.path).scrub, lambda _: None)
    after = await asyncio.to_thread(found_in, directory)
    assert after & dead == set(), shelf.markers.roles(after & dead)
    assert live <= after
    assert harness.check() == []
    # Nor does any search show them.
    for marker in random.Random(8).sample(sorted(dead), 30):
        for tag in "xyz":
            hits = await harness.memories(
                marker, container_tags=[tag], limit=100, include_chunks=True
            )
            assert all(marker not in f"{hit.memory}{hit.chunk}" for hit in hits)
