"""A large batch of writes, applied in steps so that other tenants need not wait for it."""

from __future__ import annotations

import asyncio

from service.core import model as m
from service.storage.documents import operations as documents
from service.storage.documents.store import BATCH_STEP
from service.storage.store import SqlStore
from service.storage.transactions import Mutation

DAY = 86_400_000_000
REQUEST = m.IdempotencyKey("6f6ecd2c-5b0e-4e4f-8b43-3a3a0a5a1c11", b"batch")


def batch(count: int) -> list[m.DocumentWrite]:
    """Writes whose dates run against their order."""
    return [
        m.DocumentWrite(f"text {n}", f"c{n}", document_date=(count - n) * DAY) for n in range(count)
    ]


async def share(store: SqlStore) -> m.Principal:
    """Another tenant that writes, too."""
    other = m.Principal(await store.ensure_tenant("other"), "k")
    await store.documents.upsert(other, m.DocumentWrite("theirs"), None)
    assert store.engine.shared
    return other


async def test_steps_answer_like_one_batch(store: SqlStore, principal: m.Principal) -> None:
    writes = batch(3 * BATCH_STEP + 5)
    await store.documents.upsert(principal, m.DocumentWrite("ours"), None)
    await share(store)
    receipt = await store.documents.batch_upsert(principal, writes, REQUEST)

    assert len(receipt.outcomes) == len(writes)
    revisions = []
    for write, outcome in zip(writes, receipt.outcomes, strict=True):
        assert isinstance(outcome, m.DocumentReceipt)
        assert (await store.documents.get(principal, write.custom_id or "")).id == outcome.id
        revisions.append(outcome.revision)
    # The oldest first, whatever step it was in.
    assert revisions == sorted(revisions, reverse=True)
    assert await store.documents.batch_upsert(principal, writes, REQUEST) == receipt


async def test_other_tenants_write_between_two_steps(
    store: SqlStore, principal: m.Principal
) -> None:
    await store.documents.upsert(principal, m.DocumentWrite("ours"), None)
    other = await share(store)
    writing = asyncio.ensure_future(
        store.documents.batch_upsert(principal, batch(8 * BATCH_STEP), None)
    )
    await asyncio.sleep(0)
    await store.documents.upsert(other, m.DocumentWrite("between"), None)
    assert not writing.done()
    assert len((await writing).outcomes) == 8 * BATCH_STEP


async def test_a_request_id_goes_on_where_its_first_call_was_cut_off(
    store: SqlStore, principal: m.Principal
) -> None:
    writes = [m.DocumentWrite(f"text {n}") for n in range(10)]
    step = documents.BatchStep(writes, 4)
    begun = await store.engine.mutate(documents.batch_upsert, Mutation(principal, step, REQUEST))
    assert isinstance(begun, documents.BatchStep)

    receipt = await store.documents.batch_upsert(principal, writes, REQUEST)

    assert receipt.outcomes[:4] == begun.before
    page = await store.documents.list(principal, m.DocumentQuery(), m.PageRequest(50))
    assert len(page.items) == len(writes)
    assert await store.documents.batch_upsert(principal, writes, REQUEST) == receipt
