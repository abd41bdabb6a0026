"""How often an operation speaks to the database: each time costs its distance."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from service.core import model as m
from service.core.conversations import Message
from service.ports.search import HydrationRequest
from service.storage.store import SqlStore
from tests.backends.base import QUIET
from tests.backends.postgres import PostgresBackend
from tests.storage.postgres.counting_proxy import CountingProxy, counting_proxy

T = TypeVar("T")

ALONE = 8
"""Round trips of one caller's write, at most."""

TOGETHER = 10
"""Of a batch of many callers' writes, at most."""

CALLERS = 64

TIMES = 3
"""How often writes are repeated: at first, statements are prepared."""


@dataclass
class Watched:
    """A store behind a proxy."""

    store: SqlStore
    principal: m.Principal
    proxy: CountingProxy
    counts: dict[str, int] = field(default_factory=dict)
    """Round trips of the latest call of each name."""

    async def count(self, name: str, call: Awaitable[T]) -> T:
        """Await a call, and count its round trips."""
        before = self.proxy.round_trips
        result = await call
        self.counts[name] = self.proxy.round_trips - before
        return result

    async def count_all(self, name: str, calls: Iterable[Awaitable[T]]) -> list[T]:
        """The same, of calls that are made at once."""
        return await self.count(name, _all(calls))


async def _all(calls: Iterable[Awaitable[T]]) -> list[T]:
    return list(await asyncio.gather(*calls))


@pytest.fixture
async def watched(server: PostgresBackend) -> AsyncIterator[Watched]:
    # What is counted is alone on its connections.
    options = replace(QUIET, statistics_interval=3600.0)
    async with counting_proxy(server.url.host or "", server.url.port or 5432) as proxy:
        store = await server.replica(server.folder, port=proxy.port).open(options=options)
        try:
            principal = m.Principal(await store.ensure_tenant("one"), "key")
            yield Watched(store, principal, proxy)
        finally:
            await store.close()


@pytest.fixture
def requests() -> Iterator[m.IdempotencyKey]:
    return (m.IdempotencyKey(f"request {number}", b"digest") for number in itertools.count())


async def test_one_callers_writes_of_documents_take_few(
    watched: Watched, requests: Iterator[m.IdempotencyKey]
) -> None:
    documents, who, count = watched.store.documents, watched.principal, watched.count
    for number in range(TIMES):
        name, other = f"document {number}", f"conversation {number}"
        messages = (Message("speaker", f"message {number}"),)
        writes = {
            "create": m.DocumentWrite("text", name, ("a", "b")),
            "rewrite": m.DocumentWrite("new text", name, ("a", "b")),
        }
        for what, write in writes.items():
            made = await count(what, documents.upsert(who, write, next(requests)))
        patches = {
            "update title": m.DocumentPatch(name, title="title"),
            "update text": m.DocumentPatch(name, "third text"),
            "join": m.DocumentPatch(name, containers=("a", "c")),
            "move": m.DocumentPatch(made.id, "fourth text", containers=("b", "c")),
        }
        for what, patch in patches.items():
            await count(what, documents.update(who, patch, next(requests)))
        appends = {
            "begin": m.MessagesAppend(other, messages, True, ("a", "b")),
            "append": m.MessagesAppend(other, messages),
        }
        for what, append in appends.items():
            await count(what, documents.append(who, append, next(requests)))
        for gone in (name, other):
            await count("delete", documents.delete(who, m.DocumentDelete(gone), next(requests)))
    assert max(watched.counts.values()) <= ALONE, watched.counts


async def test_one_callers_writes_of_memories_take_few(
    watched: Watched, requests: Iterator[m.IdempotencyKey]
) -> None:
    memories, who, count = watched.store.memories, watched.principal, watched.count
    await watched.store.documents.upsert(who, m.DocumentWrite("text", "source", ("a",)), None)
    for number in range(TIMES):
        new = m.MemoryCreate("a", (m.NewMemory(f"text {number}", source_document_id="source"),))
        made = await count("create", memories.create(who, new, next(requests)))
        update = m.MemoryUpdate(m.MemoryTarget("a", made.receipts[0].id), f"new text {number}")
        updated = await count("update", memories.update(who, update, next(requests)))
        latest = updated.receipt.id
        forget = m.MemoryForget(m.MemoryTarget("a", latest), "reason")
        await count("forget", memories.forget(who, forget, next(requests)))
        restore = m.MemoryRestore("a", latest)
        await count("restore", memories.restore(who, restore, next(requests)))
        await count("delete", memories.delete(who, m.MemoryDelete("a", latest), next(requests)))
    assert max(watched.counts.values()) <= ALONE, watched.counts


async def test_many_callers_writes_of_documents_take_few(watched: Watched) -> None:
    documents, who, count_all = watched.store.documents, watched.principal, watched.count_all

    def upserts(text: str, names: Iterable[int]) -> Iterator[Awaitable[m.DocumentReceipt]]:
        writes = (m.DocumentWrite(text, f"document {n}", (f"c{n % 3}", "b")) for n in names)
        return (documents.upsert(who, write, None) for write in writes)

    for _ in range(TIMES):
        await count_all("create", upserts("text", range(CALLERS)))
        await count_all("rewrite", upserts("new text", range(CALLERS)))
        await count_all("both", upserts("third text", range(CALLERS // 2, CALLERS + CALLERS // 2)))
        deletes = (m.DocumentDelete(f"document {n}") for n in range(CALLERS + CALLERS // 2))
        await count_all("delete", (documents.delete(who, delete, None) for delete in deletes))
    assert max(watched.counts.values()) <= TOGETHER, watched.counts


async def test_many_callers_writes_of_memories_take_few(watched: Watched) -> None:
    memories, who, count_all = watched.store.memories, watched.principal, watched.count_all
    for _ in range(TIMES):
        new = (m.MemoryCreate("a", (m.NewMemory(f"text {n}"),)) for n in range(CALLERS))
        made = await count_all("create", (memories.create(who, each, None) for each in new))
        targets = [m.MemoryTarget("a", each.receipts[0].id) for each in made]
        updates = (m.MemoryUpdate(target, f"new {target.id}") for target in targets)
        updated = await count_all("update", (memories.update(who, each, None) for each in updates))
        latest = [each.receipt.id for each in updated]
        forgets = (m.MemoryForget(m.MemoryTarget("a", name), "reason") for name in latest)
        await count_all("forget", (memories.forget(who, each, None) for each in forgets))
        restores = (m.MemoryRestore("a", name) for name in latest)
        await count_all("restore", (memories.restore(who, each, None) for each in restores))
        deletes = (m.MemoryDelete("a", name) for name in latest)
        await count_all("delete", (memories.delete(who, each, None) for each in deletes))
    assert max(watched.counts.values()) <= TOGETHER, watched.counts


async def test_a_read_by_custom_id_takes_two(watched: Watched) -> None:
    """The first finds its id."""
    documents, who = watched.store.documents, watched.principal
    await documents.upsert(who, m.DocumentWrite("text", "one"), None)
    # Each connection prepares its statements.
    for _ in range(CALLERS):
        await watched.count("get", documents.get(who, "one"))
    assert watched.counts == {"get": 2}


async def test_what_a_search_reads_takes_as_few_however_much_it_found(watched: Watched) -> None:
    index, who = watched.store.index, watched.principal
    few, many = (
        HydrationRequest(chunks=[("document", n, f"chunk {n}") for n in range(count)], neighbors=2)
        for count in (1, 100)
    )
    for _ in range(CALLERS):
        await watched.count("few", index.hydrate(who, few))
        await watched.count("many", index.hydrate(who, many))
    assert watched.counts["many"] == watched.counts["few"] <= ALONE, watched.counts
