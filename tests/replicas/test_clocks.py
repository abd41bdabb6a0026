"""Servers whose machines' clocks differ: what one has answered, another knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.core.times import system_clock
from service.storage.postgres.clock import DatabaseClock
from service.storage.store import SqlStore
from tests.backends.selection import backend_of

SECOND = 1_000_000


def clock(ahead: int) -> DatabaseClock:
    """That of a machine whose own clock is so many seconds ahead."""
    return DatabaseClock(lambda: system_clock() + ahead * SECOND)


@pytest.fixture(params=[-5, 5])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[SqlStore]]:
    """Of a machine whose clock is right, and of one whose clock is not."""
    backend = backend_of(tmp_path)
    opened = [await backend.open(clock(ahead)) for ahead in (0, request.param)]
    yield opened
    for store in opened:
        await store.close()
    assert backend.check() == []


async def shown(store: SqlStore, principal: m.Principal) -> list[str]:
    page = await store.memories.list(principal, m.MemoryQuery(("a",)), m.PageRequest(100))
    return [memory.content for memory in page.items]


async def test_nothing_written_by_one_is_unknown_to_the_other(stores: Sequence[SqlStore]) -> None:
    principal = m.Principal(await stores[0].ensure_tenant("one"), "key")
    last = 0
    for number in range(20):
        writer, reader = stores[number % 2], stores[1 - number % 2]
        new = m.MemoryCreate("a", (m.NewMemory(f"memory {number}"),))
        (made,) = (await writer.memories.create(principal, new, None)).receipts
        assert made.create_time > last
        last = made.create_time
        memory = await reader.memories.get(principal, "a", made.id, None)
        assert memory.content == f"memory {number}"
        assert f"memory {number}" in await shown(reader, principal)
        written = m.DocumentWrite("text", f"n{number}")
        document = await writer.documents.upsert(principal, written, None)
        assert (await reader.documents.get(principal, f"n{number}")).id == document.id


async def test_nothing_forgotten_by_one_is_shown_by_the_other(stores: Sequence[SqlStore]) -> None:
    principal = m.Principal(await stores[0].ensure_tenant("one"), "key")
    for number in range(20):
        writer, reader = stores[number % 2], stores[1 - number % 2]
        new = m.MemoryCreate("a", (m.NewMemory(f"memory {number}"),))
        (made,) = (await writer.memories.create(principal, new, None)).receipts
        target = m.MemoryTarget("a", made.id)
        await writer.memories.forget(principal, m.MemoryForget(target), None)
        assert await shown(reader, principal) == []
        assert (await reader.memories.get(principal, "a", made.id, None)).forgotten
        with pytest.raises(PalimpsestError) as caught:
            await reader.memories.forget(principal, m.MemoryForget(target), None)
        assert caught.value.reason is Reason.MEMORY_FORGOTTEN


async def test_the_clock_of_both_is_that_of_the_database(stores: Sequence[SqlStore]) -> None:
    """So that what has expired has expired for both."""
    tenant = await stores[1].ensure_tenant("one")
    for store in stores:
        await store.containers.list(m.Principal(tenant, "key"), "", m.PageRequest(1))
    before, between, after = (stores[n].now() for n in (0, 1, 0))
    # Less than they differ by, and more than a measurement is off on a busy machine.
    assert before - 4 * SECOND < between < after + 4 * SECOND
