"""ListChunks: what the index holds of a document, in order, and only to those who may see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1.search_pb2 import Chunk
from service.core.model import Status
from tests.client import Client, connected, refused
from tests.finding.service_harness import ServiceHarness

LINES = [f"Line {n:02} is about the harbour. " + "More of it. " * 60 for n in range(7)]
TEXT = "\n\n".join(LINES)


async def listing(client: Client, name: str, **fields: Any) -> AsyncIterator[list[Chunk]]:
    request = d.ListChunksRequest(id=name, **fields)
    while True:
        page = await client.documents.ListChunks(request)
        yield list(page.chunks)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def every_chunk(client: Client, name: str, **fields: Any) -> list[Chunk]:
    return [chunk async for page in listing(client, name, **fields) for chunk in page]


@pytest.mark.parametrize("size", [0, 1, 3, 2000])
async def test_the_pages_are_the_chunks_in_order(harness: ServiceHarness, size: int) -> None:
    receipt = await harness.client.put(TEXT, custom_id="harbour", wait=True)

    by_id = await every_chunk(harness.client, receipt.id, page_size=size)
    by_custom_id = await every_chunk(harness.client, "harbour", page_size=size)

    assert by_id == by_custom_id
    assert [chunk.position for chunk in by_id] == list(range(len(by_id)))
    assert len(by_id) == (await harness.client.get("harbour")).chunk_count > 1
    for chunk in by_id:
        assert chunk.document_id == receipt.id
        assert TEXT[chunk.start : chunk.end] == chunk.text


async def test_chunks_are_those_that_a_search_finds(harness: ServiceHarness) -> None:
    await harness.client.put(
        "# Fruit\n\nQuinces are sour.\n\n## Storing\n\nQuinces keep until spring.",
        custom_id="a",
        content_kind=d.CONTENT_KIND_MARKDOWN,
        wait=True,
    )
    said = d.ConversationMessage(speaker="Ann", text="Quinces!", utc_offset_minutes=60)
    said.time.FromSeconds(1_700_000_000)
    conversation = d.Conversation(messages=[said])
    await harness.client.documents.UpsertDocument(
        d.UpsertDocumentRequest(custom_id="b", conversation=conversation, wait=True)
    )

    found = [c.chunk for hit in await harness.search("quinces", limit=100) for c in hit.chunks]
    listed = [*await every_chunk(harness.client, "a"), *await every_chunk(harness.client, "b")]

    assert sorted(found, key=lambda c: c.id) == sorted(listed, key=lambda c: c.id)
    assert {chunk.speaker for chunk in listed} == {"", "Ann"}
    assert listed[-1].time == said.time
    assert listed[-1].utc_offset_minutes == 60


async def test_a_page_ends_early_when_it_grows_large(harness: ServiceHarness) -> None:
    await harness.client.put("A line of a file that is long. \n" * 31_000, custom_id="a", wait=True)

    pages = [page async for page in listing(harness.client, "a", page_size=1000)]

    assert len(pages) > 1
    assert all(sum(len(chunk.text) for chunk in page) < 3_200_000 for page in pages)
    assert sum(map(len, pages)) == (await harness.client.get("a")).chunk_count


async def test_a_document_has_its_former_chunks_until_it_is_done_again(
    harness: ServiceHarness,
) -> None:
    harness.stages.hold(Status.INDEXING)
    await harness.client.put("Quinces.", custom_id="a")
    await harness.stages.reached()
    assert await every_chunk(harness.client, "a") == []
    harness.stages.let_go()
    await harness.settled("a")
    (before,) = await every_chunk(harness.client, "a")
    assert before.text == "Quinces."

    harness.stages.hold(Status.INDEXING)
    await harness.client.put("Medlars.", custom_id="a")
    await harness.stages.reached()
    assert await every_chunk(harness.client, "a") == [before]
    harness.stages.let_go()
    await harness.settled("a")
    assert [chunk.text for chunk in await every_chunk(harness.client, "a")] == ["Medlars."]


async def test_a_deleted_document_has_no_chunks_any_more(harness: ServiceHarness) -> None:
    receipt = await harness.client.put(TEXT, custom_id="a", wait=True)
    page = await harness.client.documents.ListChunks(d.ListChunksRequest(id="a", page_size=1))
    await harness.client.documents.DeleteDocument(d.DeleteDocumentRequest(id="a"))

    for request in (
        d.ListChunksRequest(id="a"),
        d.ListChunksRequest(id=receipt.id),
        d.ListChunksRequest(id="a", page_size=1, page_token=page.next_page_token),
    ):
        with refused(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
            await harness.client.documents.ListChunks(request)


async def test_keys_see_the_chunks_of_the_documents_that_they_see(harness: ServiceHarness) -> None:
    receipt = await harness.client.put(TEXT, container_tags=["a", "b"], wait=True)
    request = d.ListChunksRequest(id=receipt.id)
    mine = await harness.client.documents.ListChunks(request)
    for key, sees in (
        ({"containers": ["b"]}, True),
        ({"containers": ["b", "c"], "read_only": True}, True),
        ({"containers": ["c"]}, False),
        ({"tenant": "other"}, False),
    ):
        secret = harness.service.create_key(**key)
        async with connected(harness.service.address, secret) as client:
            if sees:
                assert await client.documents.ListChunks(request) == mine
            else:
                with refused(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
                    await client.documents.ListChunks(request)


async def test_a_page_token_is_of_one_document_and_of_keys_that_see_the_same(
    harness: ServiceHarness,
) -> None:
    first = await harness.client.put(TEXT, container_tags=["a"], wait=True)
    second = await harness.client.put(TEXT, container_tags=["a"], wait=True)
    page = await harness.client.documents.ListChunks(d.ListChunksRequest(id=first.id, page_size=1))
    token = page.next_page_token

    following = await harness.client.documents.ListChunks(
        d.ListChunksRequest(id=first.id, page_size=2, page_token=token)
    )
    assert [chunk.position for chunk in following.chunks] == [1, 2]
    assert following.revision == page.revision
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await harness.client.documents.ListChunks(
            d.ListChunksRequest(id=second.id, page_token=token)
        )
    limited = harness.service.create_key(containers=["a"])
    async with connected(harness.service.address, limited) as client:
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
            await client.documents.ListChunks(d.ListChunksRequest(id=first.id, page_token=token))


async def test_what_is_no_document_is_refused_with_the_call_that_takes_it(
    harness: ServiceHarness,
) -> None:
    (memory,) = await harness.client.remember("fact")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await harness.client.documents.ListChunks(d.ListChunksRequest(id=memory.id, page_size=-1))
    assert sorted(refusal.fields) == ["id", "page_size"]
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await harness.client.documents.ListChunks(d.ListChunksRequest())
