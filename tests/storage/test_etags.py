"""Etags are a tenant's own."""

from __future__ import annotations

from service.core import model as m
from service.storage.store import SqlStore


async def _tenants(store: SqlStore) -> list[m.Principal]:
    names = ("one", "two")
    return [m.Principal(await store.ensure_tenant(name), "test") for name in names]


async def test_equal_documents_and_memories_of_two_tenants_have_unequal_etags(
    store: SqlStore,
) -> None:
    etags = []
    for principal in await _tenants(store):
        document = await store.documents.upsert(principal, m.DocumentWrite("text"), None)
        made = await store.memories.create(
            principal, m.MemoryCreate("c", (m.NewMemory("fact"),)), None
        )
        (memory,) = made.receipts
        assert (await store.documents.get(principal, document.id)).etag == document.etag
        read = await store.memories.get(principal, "c", memory.id, None)
        listed = await store.memories.list(principal, m.MemoryQuery(("c",)), m.PageRequest(10))
        versions = await store.memories.versions(principal, "c", memory.id, m.PageRequest(10))
        told = {read.etag, *(one.etag for one in (*listed.items, *versions.items))}
        assert told == {memory.etag}
        etags += [document.etag, memory.etag]
    assert len(set(etags)) == len(etags)


async def test_a_document_has_its_etag_again_when_it_is_again_what_it_was(
    store: SqlStore, principal: m.Principal
) -> None:
    first = await store.documents.upsert(principal, m.DocumentWrite("text", "a"), None)
    other = await store.documents.upsert(
        principal, m.DocumentWrite("other", "a", etag=first.etag), None
    )
    assert other.etag != first.etag
    again = await store.documents.upsert(principal, m.DocumentWrite("text", "a"), None)
    assert again.etag == first.etag
