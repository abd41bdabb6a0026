"""WatchDocument: the state now, then what becomes of it."""

from __future__ import annotations

import asyncio

from grpc import StatusCode

from palimpsest.v1.documents_pb2 import (
    DOCUMENT_STATUS_QUEUED,
    BulkDeleteDocumentsRequest,
    DeleteDocumentRequest,
    WatchDocumentRequest,
)
from tests.client import Client, received, refused


async def test_the_first_state_is_the_current_one_without_content(client: Client) -> None:
    made = await client.put("text", custom_id="c")

    stream = client.documents.WatchDocument(WatchDocumentRequest(id="c"))
    first = await received(stream)
    stream.cancel()

    assert not first.deleted
    assert first.document.id == made.id
    assert first.document.status == DOCUMENT_STATUS_QUEUED
    assert first.document.etag == made.etag
    assert first.document.content == ""


async def test_deleting_the_document_ends_every_watch_of_it(client: Client) -> None:
    made = await client.put(custom_id="c")
    streams = [
        client.documents.WatchDocument(WatchDocumentRequest(id=name))
        for name in (made.id, "c", "c")
    ]
    for stream in streams:
        await stream.read()

    await client.documents.DeleteDocument(DeleteDocumentRequest(id="c"))

    for stream in streams:
        (last,) = [state async for state in stream]
        assert last.deleted
        assert last.document.id == made.id
        assert await stream.code() is StatusCode.OK


async def test_deleting_its_container_ends_a_watch(client: Client) -> None:
    made = await client.put(container_tags=["a"])
    stream = client.documents.WatchDocument(WatchDocumentRequest(id=made.id))
    await stream.read()

    await client.documents.BulkDeleteDocuments(BulkDeleteDocumentsRequest(container_tags=["a"]))

    assert [state.deleted async for state in stream] == [True]


async def test_watching_what_is_not_there_is_not_found(client: Client) -> None:
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        async for _ in client.documents.WatchDocument(WatchDocumentRequest(id="nothing")):
            raise AssertionError("a state of nothing")


async def test_a_watcher_that_goes_away_disturbs_nobody(client: Client) -> None:
    made = await client.put()
    gone = client.documents.WatchDocument(WatchDocumentRequest(id=made.id))
    stays = client.documents.WatchDocument(WatchDocumentRequest(id=made.id))
    await asyncio.gather(gone.read(), stays.read())
    gone.cancel()

    await client.documents.DeleteDocument(DeleteDocumentRequest(id=made.id))

    assert [state.deleted async for state in stays] == [True]
