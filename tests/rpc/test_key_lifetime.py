"""A call lives no longer than its key: revocation and expiry end streams and long calls."""

from __future__ import annotations

import asyncio

from grpc import StatusCode

from palimpsest.v1.changes_pb2 import WatchChangesRequest
from palimpsest.v1.documents_pb2 import (
    BatchUpsertDocumentsRequest,
    BulkDeleteDocumentsRequest,
    UpsertDocumentRequest,
    WatchDocumentRequest,
)
from service.storage.containers.purges import STEP
from tests.client import Client, connected, received, refused
from tests.inprocess import ManualClock, Service

SECONDS = 60
"""More than any of this takes on a busy machine."""


async def test_a_stream_ends_when_its_key_is_revoked(service: Service, client: Client) -> None:
    made = await client.put("text", title="before")
    secret = service.create_key()
    async with connected(service.address, secret) as watcher, asyncio.timeout(SECONDS):
        stream = watcher.documents.WatchDocument(WatchDocumentRequest(id=made.id))
        await stream.read()
        service.revoke_key(secret)
        with refused(StatusCode.UNAUTHENTICATED, "KEY_INVALID"):
            async for _ in stream:
                raise AssertionError("a state was sent to a key that is revoked")


async def test_a_stream_of_changes_ends_when_its_key_is_revoked(
    service: Service, client: Client
) -> None:
    secret = service.create_key()
    async with connected(service.address, secret) as watcher:
        stream = watcher.changes.WatchChanges(WatchChangesRequest())
        await received(stream)
        service.revoke_key(secret)
        with refused(StatusCode.UNAUTHENTICATED, "KEY_INVALID"):
            await received(stream)
        await client.put("text")


async def test_a_stream_ends_when_its_key_expires(
    service: Service, client: Client, clock: ManualClock
) -> None:
    made = await client.put("text")
    secret = service.create_key(expires_at=clock() + 3600 * 1_000_000)
    async with connected(service.address, secret) as watcher, asyncio.timeout(SECONDS):
        stream = watcher.documents.WatchDocument(WatchDocumentRequest(id=made.id))
        await stream.read()
        clock.advance(3601)
        with refused(StatusCode.UNAUTHENTICATED, "KEY_INVALID"):
            await stream.read()
            raise AssertionError("the stream goes on")


async def test_streams_of_other_keys_go_on(service: Service, client: Client) -> None:
    made = await client.put("text")
    secret = service.create_key()
    async with connected(service.address, secret) as revoked, asyncio.timeout(SECONDS):
        streams = [
            one.documents.WatchDocument(WatchDocumentRequest(id=made.id))
            for one in (client, revoked)
        ]
        for stream in streams:
            await stream.read()
        service.revoke_key(secret)
        assert await streams[1].code() is StatusCode.UNAUTHENTICATED
        await client.put("text", custom_id="another")
        await client.documents.BulkDeleteDocuments(BulkDeleteDocumentsRequest(ids=[made.id]))
        state = await received(streams[0])
        assert state.deleted


async def test_a_bulk_deletion_stops_when_its_key_is_revoked(
    service: Service, client: Client
) -> None:
    count = 6 * STEP
    for start in range(0, count, 500):
        items = [
            UpsertDocumentRequest(content="x", container_tags=["a"])
            for _ in range(min(500, count - start))
        ]
        await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))
    secret = service.create_key()
    with service.backend.hold_writes() as hold:
        async with connected(service.address, secret) as deleter, asyncio.timeout(SECONDS):
            deleting = asyncio.ensure_future(
                deleter.documents.BulkDeleteDocuments(
                    BulkDeleteDocumentsRequest(container_tags=["a"])
                )
            )
            # The deletion waits for its first step, or for the next one, until the key is revoked.
            while service.store.engine.idle:  # noqa: ASYNC110  (it tells nobody)
                await asyncio.sleep(0.01)
            hold.revoke_key(secret)
            with refused(StatusCode.UNAUTHENTICATED, "KEY_INVALID"):
                await deleting
            hold.release()
    left = [
        item async for page in client.pages(container_tags=["a"], page_size=1000) for item in page
    ]
    # A step that had begun runs to its end, and one may have come between.
    assert len(left) >= count - 2 * STEP
