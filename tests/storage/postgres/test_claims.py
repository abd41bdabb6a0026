"""Claims of documents, while other transactions write for the documents' tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.core import model as m
from service.ports.processing import Work
from service.storage.store import SqlStore
from tests.backends.postgres import PostgresBackend
from tests.storage.postgres.tenant_locks import lock_waited_for, tenant_locked

LEASE = 3600.0
CLAIMS = 100
"""In so many each tenant has had its turn."""


async def queued(store: SqlStore, name: str, documents: int) -> int:
    """A tenant that has so many documents in the queue; its number."""
    tenant = await store.ensure_tenant(name)
    writes = [m.DocumentWrite(f"text {number}") for number in range(documents)]
    await store.documents.batch_upsert(m.Principal(tenant, "key"), writes, None)
    return tenant


async def claim(store: SqlStore, limit: int) -> Sequence[Work]:
    return await store.queue.claim("worker", limit, LEASE)


def tenants(works: Sequence[Work]) -> set[int]:
    return {work.job.tenant for work in works}


async def claim_beside_writer(
    server: PostgresBackend, store: SqlStore, tenant: int, limit: int
) -> Sequence[Work]:
    """A claim that finds the tenant locked; its lock ends when the claim waits for it."""
    async with tenant_locked(server, tenant):
        claiming = asyncio.create_task(claim(store, limit))
        waiting = asyncio.create_task(lock_waited_for(server))
        await asyncio.wait((claiming, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    return await claiming


async def test_a_claim_passes_over_a_tenant_that_is_being_written(
    server: PostgresBackend, store: SqlStore
) -> None:
    written, other = [await queued(store, name, 2) for name in ("one", "two")]
    async with tenant_locked(server, written):
        assert tenants(await claim(store, 4)) == {other}
    assert tenants(await claim(store, 4)) == {written}


async def test_a_tenant_that_is_always_being_written_has_its_turn(
    server: PostgresBackend, store: SqlStore
) -> None:
    written, other = await queued(store, "one", 1), await queued(store, "two", 2 * CLAIMS)
    taken: set[int] = set()
    for _ in range(CLAIMS):
        works = await claim_beside_writer(server, store, written, 2)
        assert other in tenants(works)
        taken |= tenants(works)
        if written in taken:
            return
    pytest.fail("no claim took what the tenant had in the queue")


async def test_a_claim_waits_if_all_tenants_are_being_written(
    server: PostgresBackend, store: SqlStore
) -> None:
    first, second = [await queued(store, name, 1) for name in ("one", "two")]
    async with tenant_locked(server, second):
        works = await claim_beside_writer(server, store, first, 4)
    assert tenants(works) == {first}
    assert tenants(await claim(store, 4)) == {second}


async def test_a_claim_that_has_waited_takes_what_has_become_free_meanwhile(
    server: PostgresBackend, store: SqlStore
) -> None:
    only = [await queued(store, name, 1) for name in ("one", "two")]
    async with tenant_locked(server, only[0]), tenant_locked(server, only[1]):
        claiming = asyncio.create_task(claim(store, 4))
        await lock_waited_for(server)
    # Their locks end in the opposite order.
    assert tenants(await claiming) == {*only}
