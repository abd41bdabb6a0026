"""Bulk deletion that runs out of time goes on where it stopped."""

from __future__ import annotations

import uuid

from service.core import model as m
from service.storage.containers import purges
from tests.inprocess import Service


async def _fill(service: Service, principal: m.Principal, count: int) -> None:
    writes = [m.DocumentWrite(f"text {i}", containers=("old",)) for i in range(count)]
    await service.store.documents.batch_upsert(principal, writes, None)


async def test_a_partial_deletion_is_continued_by_its_request_id(service: Service) -> None:
    store = service.store
    principal = m.Principal(await store.ensure_tenant("purging"), "test")
    await _fill(service, principal, purges.STEP + 50)
    request = m.IdempotencyKey(str(uuid.uuid4()), b"the same request")

    first = await store.containers.delete_documents(
        principal, ["old"], request, validate_only=False, budget=0
    )
    assert (first.complete, first.deleted) == (False, purges.STEP)
    later = await store.documents.upsert(
        principal, m.DocumentWrite("written after it began", containers=("old",)), None
    )
    second = await store.containers.delete_documents(
        principal, ["old"], request, validate_only=False, budget=None
    )
    assert (second.complete, second.deleted) == (True, purges.STEP + 50)
    replayed = await store.containers.delete_documents(
        principal, ["old"], request, validate_only=False, budget=None
    )
    assert replayed == second
    page = await store.documents.list(principal, m.DocumentQuery(("old",)), m.PageRequest(10))
    assert [document.id for document in page.items] == [later.id]


async def test_a_container_written_during_its_deletion_keeps_what_is_newer(
    service: Service,
) -> None:
    store = service.store
    principal = m.Principal(await store.ensure_tenant("keeping"), "test")
    await _fill(service, principal, purges.STEP + 1)
    request = m.IdempotencyKey(str(uuid.uuid4()), b"the same request")

    async def delete(budget: float | None) -> m.ContainerDeleteReceipt:
        return await store.containers.delete(
            principal, "old", request, validate_only=False, allow_missing=False, budget=budget
        )

    assert not (await delete(0)).complete
    await store.memories.create(principal, m.MemoryCreate("old", (m.NewMemory("new"),)), None)
    done = await delete(None)
    assert (done.complete, done.documents, done.memories) == (True, purges.STEP + 1, 0)
    assert not done.container_deleted
    listed = await store.containers.list(principal, "", m.PageRequest(10))
    assert [(c.tag, c.documents, c.memories) for c in listed.items] == [("old", 0, 1)]
