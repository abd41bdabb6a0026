"""How often an operation speaks to the database: each time costs its distance."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from service.core import model as m
from service.storage.store import SqlStore
from tests.backends.base import Backend
from tests.backends.postgres import PostgresBackend
from tests.storage.postgres.counting_proxy import CountingProxy, counting_proxy

ALONE = 8
"""Round trips of one caller's write, at most."""

TOGETHER = 10
"""Of a batch of many callers' writes, at most."""

CALLERS = 64


@dataclass
class Watched:
    """A store behind a proxy."""

    store: SqlStore
    principal: m.Principal
    proxy: CountingProxy

    async def count(self, work: Callable[[], Awaitable[Any]]) -> int:
        """Round trips of what has been done often enough before, so that it is prepared."""
        for _ in range(2 * CALLERS):
            await work()
        before = self.proxy.round_trips
        await work()
        return self.proxy.round_trips - before


@pytest.fixture
async def watched(backend: Backend) -> AsyncIterator[Watched]:
    assert isinstance(backend, PostgresBackend)
    async with counting_proxy(backend.url.host or "", backend.url.port or 5432) as proxy:
        store = await backend.replica(backend.folder, port=proxy.port).open()
        try:
            principal = m.Principal(await store.ensure_tenant("one"), "key")
            yield Watched(store, principal, proxy)
        finally:
            await store.close()


async def test_one_callers_write_takes_few(watched: Watched) -> None:
    documents, memories, who = watched.store.documents, watched.store.memories, watched.principal
    number = itertools.count()

    async def write() -> None:
        await documents.upsert(who, m.DocumentWrite("text", f"n{next(number)}"), None)

    async def create() -> None:
        await memories.create(who, m.MemoryCreate("a", (m.NewMemory("text"),)), None)

    counts = {work.__name__: await watched.count(work) for work in (write, create)}
    assert max(counts.values()) <= ALONE, counts


async def test_a_rewrite_takes_few(watched: Watched) -> None:
    documents, who = watched.store.documents, watched.principal
    number = itertools.count()

    async def rewrite() -> None:
        await documents.upsert(who, m.DocumentWrite(f"text {next(number)}", "one"), None)

    assert await watched.count(rewrite) <= TOGETHER


async def test_a_batch_of_many_callers_takes_few(watched: Watched) -> None:
    documents, who = watched.store.documents, watched.principal
    number = itertools.count()

    async def upserts() -> None:
        text = f"text {next(number)}"
        await asyncio.gather(
            *(documents.upsert(who, m.DocumentWrite(text, f"n{n}"), None) for n in range(CALLERS))
        )

    # The first of them goes alone, as nothing waits then.
    assert await watched.count(upserts) <= ALONE + TOGETHER


async def test_a_read_by_custom_id_takes_two(watched: Watched) -> None:
    """The first finds its id."""
    documents, who = watched.store.documents, watched.principal
    await documents.upsert(who, m.DocumentWrite("text", "one"), None)
    assert await watched.count(lambda: documents.get(who, "one")) == 2
