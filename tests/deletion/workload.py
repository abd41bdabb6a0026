"""Random writes, updates and deletions of everything that callers' texts go into."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from service.core import model as m
from service.core.metadata import MetadataPatch
from service.storage.store import SqlStore
from tests.deletion.markers import Markers

ROUND = 200
"""Calls at a time; no two of them are about one thing."""

CONTAINERS = 12
"""At once; a marker is the tag of each, and of one that is deleted another takes the place."""

FILLER_LENGTHS = (0, 0, 40, 40, 400, 3_000, 9_000)


@dataclass
class Document:
    """The markers that are stored of a document."""

    id: str
    containers: tuple[str, ...]
    custom_id: str
    content: str
    title: str
    key: str
    value: str

    def live(self) -> set[str]:
        return {self.custom_id, self.content, self.title, self.key, self.value}


@dataclass
class Chain:
    """The markers that are stored of a memory and its versions."""

    id: str
    container: str
    versions: list[str]
    others: list[str] = field(default_factory=list)
    forgotten: bool = False

    def live(self) -> set[str]:
        return {*self.versions, *self.others}


Thing = TypeVar("Thing")


class Workload:
    """Operations on a store, and what must be left of them."""

    def __init__(self, store: SqlStore, principal: m.Principal, seed: int) -> None:
        self.markers = Markers()
        self.done: Counter[str] = Counter()
        self._store = store
        self._who = principal
        self._random = random.Random(seed)
        # Those that no call of the present round is about.
        self.documents: list[Document] = []
        self.chains: list[Chain] = []
        self.containers = [self._marker("container") for _ in range(CONTAINERS)]

    def live(self) -> set[str]:
        kept = self.tags()
        documents = (document.live() for document in self.documents)
        return kept.union(*documents, *(chain.live() for chain in self.chains))

    def tags(self) -> set[str]:
        """Of the containers that something is in."""
        tags = {tag for document in self.documents for tag in document.containers}
        return tags | {chain.container for chain in self.chains}

    async def run(self, operations: int) -> None:
        while self.done.total() < operations:
            calls = [self._choose() for _ in range(ROUND)]
            await asyncio.gather(*(call for call in calls if call is not None))
            if self._random.random() < 0.2:
                await self._empty_a_container()

    def _choose(self) -> Awaitable[None] | None:
        """A call begun: it takes what it is about out of the lists at once."""
        choices: list[tuple[int, Callable[[], Awaitable[None] | None]]] = [
            (14, self._create_documents),
            (16, self._rewrite_document),
            (16, self._update_document),
            (14, self._delete_document),
            (1, self._delete_several),
            (10, self._create_memories),
            (14, self._update_memory),
            (6, self._forget_or_restore),
            (2, self._forget_several),
            (7, self._delete_memory),
        ]
        weights = [weight for weight, _ in choices]
        [(_, choice)] = self._random.choices(choices, weights)
        return choice()

    # --- documents ---

    def _create_documents(self) -> Awaitable[None]:
        made = [self._new_document() for _ in range(self._random.choice((1, 1, 1, 8, 20)))]
        writes = [
            m.DocumentWrite(
                self._padded(document.content),
                document.custom_id,
                document.containers,
                {document.key: 1.0, "note": document.value},
                document.title,
            )
            for document in made
        ]

        async def call() -> None:
            receipt = await self._store.documents.batch_upsert(self._who, writes, self._request())
            for document, outcome in zip(made, receipt.outcomes, strict=True):
                assert isinstance(outcome, m.DocumentReceipt)
                assert outcome.created
                self.documents.append(replace(document, id=outcome.id))
            self.done["documents written"] += len(made)

        return call()

    def _rewrite_document(self) -> Awaitable[None] | None:
        old = self._take(self.documents)
        if old is None:
            return None
        new, metadata = self._changed(old)
        new = replace(new, content=self._marker("content"))
        content = self._padded(new.content)
        write = m.DocumentWrite(content, old.custom_id, (), metadata, new.title)

        async def call() -> None:
            await self._store.documents.upsert(self._who, write, self._request())
            self.documents.append(new)
            self.done["documents rewritten"] += 1

        return call()

    def _update_document(self) -> Awaitable[None] | None:
        old = self._take(self.documents)
        if old is None:
            return None
        new, metadata = self._changed(old)
        content = None
        if self._random.random() < 0.3:
            new = replace(new, content=self._marker("content"))
            content = self._padded(new.content)
        new = replace(new, containers=self._containers())
        patch = m.DocumentPatch(old.id, content, new.containers, metadata, new.title)

        async def call() -> None:
            await self._store.documents.update(self._who, patch, self._request())
            self.documents.append(new)
            self.done["documents updated"] += 1

        return call()

    def _delete_document(self) -> Awaitable[None] | None:
        old = self._take(self.documents)
        if old is None:
            return None
        name = self._random.choice((old.id, old.custom_id))

        async def call() -> None:
            await self._store.documents.delete(self._who, m.DocumentDelete(name), self._request())
            self.done["documents deleted"] += 1

        return call()

    def _delete_several(self) -> Awaitable[None]:
        taken = [self._take(self.documents) for _ in range(self._random.randint(2, 30))]
        # One that is not there: its receipt keeps the failure, and must not keep the name.
        names = [old.custom_id for old in taken if old] + [self._marker("custom id")]

        async def call() -> None:
            receipt = await self._store.documents.delete_ids(
                self._who, names, self._request(), validate_only=False
            )
            assert receipt.deleted == len(names) - 1
            self.done["documents deleted"] += receipt.deleted

        return call()

    async def _empty_a_container(self) -> None:
        number = self._random.randrange(CONTAINERS)
        tag = self.containers[number]
        whole = self._random.random() < 0.5
        receipt: m.BulkDeleteReceipt | m.ContainerDeleteReceipt
        if whole:
            receipt = await self._store.containers.delete(
                self._who,
                tag,
                self._request(),
                validate_only=False,
                allow_missing=True,
                budget=None,
            )
            gone = [chain for chain in self.chains if chain.container == tag]
            self.chains = [chain for chain in self.chains if chain.container != tag]
            assert receipt.memories == len(gone)
            self.done["memories deleted"] += len(gone)
            self.done["containers deleted"] += 1
            if self._random.random() < 0.8:
                self.containers[number] = self._marker("container")
        else:
            receipt = await self._store.containers.delete_documents(
                self._who, [tag], self._request(), validate_only=False, budget=None
            )
        before = len(self.documents)
        self.documents = [
            replace(document, containers=tuple(c for c in document.containers if c != tag))
            for document in self.documents
            if document.containers != (tag,)
        ]
        deleted = before - len(self.documents)
        assert (receipt.complete, self._documents_of(receipt)) == (True, deleted)
        self.done["documents deleted"] += deleted

    @staticmethod
    def _documents_of(receipt: m.BulkDeleteReceipt | m.ContainerDeleteReceipt) -> int:
        if isinstance(receipt, m.ContainerDeleteReceipt):
            return receipt.documents
        return receipt.deleted

    def _new_document(self) -> Document:
        marker = self._marker
        return Document(
            "",
            self._containers(),
            marker("custom id"),
            marker("content"),
            marker("title"),
            marker("metadata key"),
            marker("metadata value"),
        )

    def _changed(self, old: Document) -> tuple[Document, MetadataPatch]:
        """Another title and metadata: a value is replaced, and a key for another."""
        new = replace(
            old,
            title=self._marker("title"),
            key=self._marker("metadata key"),
            value=self._marker("metadata value"),
        )
        return new, {old.key: None, new.key: 1.0, "note": new.value}

    # --- memories ---

    def _create_memories(self) -> Awaitable[None]:
        container = self._random.choice(self.containers)
        count = self._random.choice((1, 1, 5))
        contents = [self._marker("memory") for _ in range(count)]
        values = [self._marker("metadata value") for _ in range(count)]
        create = m.MemoryCreate(
            container,
            tuple(
                m.NewMemory(self._padded(content, 400), {"note": value})
                for content, value in zip(contents, values, strict=True)
            ),
        )

        async def call() -> None:
            receipt = await self._store.memories.create(self._who, create, self._request())
            self.chains.extend(
                Chain(one.id, container, [content], [value])
                for one, content, value in zip(receipt.receipts, contents, values, strict=True)
            )
            self.done["memories written"] += count

        return call()

    def _update_memory(self) -> Awaitable[None] | None:
        chain = self._take(self.chains)
        if chain is None or chain.forgotten:
            self._give(chain)
            return None
        content = self._marker("memory")
        target = m.MemoryTarget(chain.container, chain.id)
        update = m.MemoryUpdate(target, self._padded(content, 400))

        async def call() -> None:
            updated = await self._store.memories.update(self._who, update, self._request())
            chain.id = updated.receipt.id
            chain.versions.append(content)
            self.chains.append(chain)
            self.done["memories updated"] += 1

        return call()

    def _forget_or_restore(self) -> Awaitable[None] | None:
        chain = self._take(self.chains)
        if chain is None:
            return None
        target = m.MemoryTarget(chain.container, chain.id)

        async def call() -> None:
            if chain.forgotten:
                restore = m.MemoryRestore(chain.container, chain.id)
                await self._store.memories.restore(self._who, restore, self._request())
            else:
                chain.others.append(self._marker("reason"))
                forget = m.MemoryForget(target, chain.others[-1])
                await self._store.memories.forget(self._who, forget, self._request())
            chain.forgotten = not chain.forgotten
            self.chains.append(chain)
            self.done["memories forgotten or restored"] += 1

        return call()

    def _forget_several(self) -> Awaitable[None] | None:
        first = self._take(self.chains)
        if first is None or first.forgotten:
            self._give(first)
            return None
        chosen = [first]
        for chain in self.chains[:100]:
            if chain.container == first.container and not chain.forgotten:
                chosen.append(chain)
                self.chains.remove(chain)
        reason = self._marker("reason")
        forget = m.MemoryForgetMany(
            first.container, tuple(chain.id for chain in chosen), reason=reason
        )

        async def call() -> None:
            done = await self._store.memories.forget_many(
                self._who, forget, self._request(), validate_only=False
            )
            assert len(done.ids) == len(chosen)
            for chain in chosen:
                chain.forgotten = True
                chain.others.append(reason)
            self.chains.extend(chosen)
            self.done["memories forgotten or restored"] += len(chosen)

        return call()

    def _delete_memory(self) -> Awaitable[None] | None:
        chain = self._take(self.chains)
        if chain is None:
            return None
        delete = m.MemoryDelete(chain.container, chain.id)

        async def call() -> None:
            receipt = await self._store.memories.delete(self._who, delete, self._request())
            assert receipt.deleted_versions == len(chain.versions)
            self.done["memories deleted"] += 1

        return call()

    # --- parts ---

    def _marker(self, role: str) -> str:
        return self.markers.new(role)

    def _padded(self, marker: str, longest: int = 9_000) -> str:
        """The marker somewhere in a text of random length."""
        length = min(self._random.choice(FILLER_LENGTHS), longest)
        before = self._random.randint(0, length)
        return "a" * before + marker + "b" * (length - before)

    def _containers(self) -> tuple[str, ...]:
        return tuple(sorted(self._random.sample(self.containers, self._random.choice((1, 1, 2)))))

    def _request(self) -> m.IdempotencyKey | None:
        if self._random.random() < 0.5:
            return None
        name = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        return m.IdempotencyKey(name, b"digest")

    def _take(self, things: list[Thing]) -> Thing | None:
        if not things:
            return None
        index = self._random.randrange(len(things))
        things[index], things[-1] = things[-1], things[index]
        return things.pop()

    def _give(self, chain: Chain | None) -> None:
        if chain is not None:
            self.chains.append(chain)
