"""SearchMemories with include_documents: what chunks are of, and memories came from."""

from __future__ import annotations

from typing import Any

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.client import Client, connected
from tests.finding.service_harness import ServiceHarness


async def search(client: Client, **fields: Any) -> m.SearchMemoriesResponse:
    request = m.SearchMemoriesRequest(query="quinces", **fields)
    return await client.memories.SearchMemories(request)


async def bare(client: Client, name: str) -> d.Document:
    """The document as a list answers it."""
    document = await client.get(name)
    document.ClearField("content")
    return document


async def test_the_documents_of_chunks_are_answered_once_and_without_content(
    any_harness: ServiceHarness,
) -> None:
    client = any_harness.client
    long = "\n\n".join(f"Quinces, {n} of them. " + "And more. " * 60 for n in range(4))
    await client.put(long, custom_id="a", title="Larder", metadata={"k": "v"}, wait=True)
    await client.put("Quinces keep.", custom_id="b", wait=True)
    await client.put("Walnuts.", custom_id="c", wait=True)

    found = await search(client, include_chunks=True, include_documents=True, limit=4)

    assert len({hit.chunk.document_id for hit in found.hits}) < len(found.hits)
    documents = {document.id: document for document in found.documents}
    assert len(documents) == len(found.documents)
    assert documents.keys() == {hit.chunk.document_id for hit in found.hits}
    for document in found.documents:
        assert document == await bare(client, document.id)
    assert {document.title for document in found.documents} <= {"Larder", ""}


async def test_documents_are_left_out_unless_asked_for(harness: ServiceHarness) -> None:
    source = await harness.client.put("Quinces keep.", wait=True)
    await harness.client.remember(
        m.NewMemory(content="Ann likes quinces", source_document_id=source.id)
    )

    asked = await search(harness.client, include_chunks=True, include_documents=True)
    unasked = await search(harness.client, include_chunks=True)

    assert [document.id for document in asked.documents] == [source.id]
    assert not unasked.documents
    assert unasked.hits == asked.hits


async def test_the_sources_of_memories_are_among_them(harness: ServiceHarness) -> None:
    source = await harness.client.put("Walnuts.", custom_id="s", metadata={"k": "v"}, wait=True)
    await harness.client.remember(
        m.NewMemory(content="Ann likes quinces", source_document_id=source.id),
        m.NewMemory(content="Ben likes quinces", source_document_id=source.id),
        "Carl likes quinces",
    )

    found = await search(harness.client, include_documents=True)

    assert len(found.hits) == 3
    assert list(found.documents) == [await bare(harness.client, "s")]


async def test_a_limited_key_is_told_of_no_document_elsewhere(harness: ServiceHarness) -> None:
    hidden = await harness.client.put("Walnuts.", container_tags=["b"], wait=True)
    shared = await harness.client.put("Quinces keep.", container_tags=["a", "b"], wait=True)
    await harness.client.remember(
        m.NewMemory(content="Ann likes quinces", source_document_id=hidden.id), container="a"
    )
    fields = {"container_tags": ["a"], "include_chunks": True, "include_documents": True}

    full = await search(harness.client, **fields)
    async with connected(
        harness.service.address, harness.service.create_key(containers=["a"])
    ) as client:
        limited = await search(client, **fields)

    assert {document.id for document in full.documents} == {hidden.id, shared.id}
    assert [document.id for document in limited.documents] == [shared.id]
    assert list(limited.documents[0].container_tags) == ["a"]
    assert len(limited.hits) == len(full.hits) == 2


async def test_a_source_that_was_deleted_is_none(harness: ServiceHarness) -> None:
    source = await harness.client.put("Walnuts.", wait=True)
    await harness.client.remember(
        m.NewMemory(content="Ann likes quinces", source_document_id=source.id)
    )
    await harness.client.documents.DeleteDocument(d.DeleteDocumentRequest(id=source.id))

    found = await search(harness.client, include_documents=True)

    assert len(found.hits) == 1
    assert not found.documents
