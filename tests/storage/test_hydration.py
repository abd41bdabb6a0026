"""What a search reads of the chunks that it found, and of those beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from service.core import model as m
from service.ports.indexing import IndexEntry
from service.ports.processing import ChunkRow, Processed
from service.ports.search import HydrationRequest
from service.storage.store import SqlStore

LENGTH = 30
"""Chunks of each document."""


def chunk_id(document: str, position: int, *, again: bool = False) -> str:
    return f"{document} {position} {again}"


async def process(store: SqlStore, count: int, *, again: bool = False) -> None:
    """Give each of so many documents in the queue its chunks, others when it is done again."""
    works = await store.queue.claim("worker", count, 60.0)
    results = [
        Processed(
            work.job,
            [
                ChunkRow(
                    chunk_id(work.job.document_id, position, again=again),
                    position,
                    f"text {position} of {work.job.document_id}",
                    0,
                    1,
                    "",
                    "",
                    None,
                    b"digest",
                    IndexEntry(b"entry"),
                )
                for position in range(LENGTH)
            ],
            LENGTH,
        )
        for work in works
    ]
    assert await store.queue.finish(results) == [True] * count


async def written(store: SqlStore, principal: m.Principal, names: Sequence[str]) -> list[str]:
    """The ids of documents with these custom ids, which have their chunks."""
    writes = [m.DocumentWrite("text", name, ("a",)) for name in names]
    receipt = await store.documents.batch_upsert(principal, writes, None)
    await process(store, len(names))
    return [made.id for made in receipt.outcomes if isinstance(made, m.DocumentReceipt)]


async def read(
    store: SqlStore,
    principal: m.Principal,
    places: Iterable[tuple[str, int, str]],
    neighbors: int = 0,
) -> dict[str, list[int]]:
    """By chunk id, the positions of what was read."""
    wanted = HydrationRequest(chunks=list(places), neighbors=neighbors)
    near = (await store.index.hydrate(principal, wanted)).near
    return {name: [row.position for row in rows] for name, rows in near.items()}


@pytest.mark.parametrize("neighbors", [0, 1, 10])
async def test_each_chunk_is_read_with_those_beside_it(
    store: SqlStore, principal: m.Principal, neighbors: int
) -> None:
    documents = await written(store, principal, ("one", "two"))
    positions = (17, 0, 16, LENGTH - 1, 3)
    places = [
        (document, position, chunk_id(document, position))
        for position in positions
        for document in documents
    ]
    wanted = HydrationRequest(chunks=places, neighbors=neighbors)
    near = (await store.index.hydrate(principal, wanted)).near
    assert list(near) == [name for _, _, name in places]
    for (document, position, name), rows in zip(places, near.values(), strict=True):
        beside = range(max(0, position - neighbors), min(LENGTH, position + neighbors + 1))
        assert [(row.position, row.text) for row in rows] == [
            (place, f"text {place} of {document}") for place in beside
        ], name


async def test_what_has_gone_or_is_another_tenants_is_left_out(
    store: SqlStore, principal: m.Principal
) -> None:
    documents = await written(store, principal, ("kept", "rewritten", "deleted"))
    places = [(document, 2, chunk_id(document, 2)) for document in (*documents, "nobody's")]
    await store.documents.delete(principal, m.DocumentDelete("deleted"), None)
    await store.documents.upsert(
        principal, m.DocumentWrite("new text", custom_id="rewritten", containers=("a",)), None
    )
    await process(store, 1, again=True)
    kept = chunk_id(documents[0], 2)
    assert await read(store, principal, places) == {kept: [2]}
    assert await read(store, principal, places, 1) == {kept: [1, 2, 3]}
    stranger = m.Principal(await store.ensure_tenant("stranger"), "key")
    assert await read(store, stranger, places) == {}


async def test_as_many_are_read_as_one_search_looks_through(
    store: SqlStore, principal: m.Principal
) -> None:
    documents = await written(store, principal, [f"document {number}" for number in range(40)])
    places = [
        (document, position, chunk_id(document, position))
        for document in documents
        for position in range(LENGTH)
    ]
    found = await read(store, principal, places)
    assert found == {name: [position] for _, position, name in places}
