"""WatchChanges: what was changed, then what is changed from now on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from palimpsest.v1 import changes_pb2 as pb
from palimpsest.v1.changes_pb2_grpc import ChangesStub
from palimpsest.v1.documents_pb2 import (
    BatchUpsertDocumentsRequest,
    BulkDeleteDocumentsRequest,
    UpsertDocumentRequest,
)
from service.app import ServiceOptions
from service.core.model import Principal
from service.rpc.access import CHANGE_BYTES
from service.rpc.changes import BATCH, MAX_PAUSE_SECONDS, PAUSE_SECONDS, pause_seconds
from tests.client import Client, connected, received, refused
from tests.inprocess import ManualClock, Service, running_service
from tests.rpc.conftest import Connect
from tests.rpc.test_changes import feed
from tests.waiting import until

Stream = grpc.aio.UnaryStreamCall[pb.WatchChangesRequest, pb.WatchChangesResponse]

DELETIONS = [pb.CHANGE_KIND_DOCUMENT_DELETED, pb.CHANGE_KIND_MEMORY_DELETED]


def watch(client: Client, **fields: Any) -> Stream:
    return client.changes.WatchChanges(pb.WatchChangesRequest(**fields))


async def changes_to(stream: Stream, revision: int) -> list[pb.Change]:
    """The changes that a stream sends until its revision is this one."""
    found, before = list[pb.Change](), -1
    while True:
        message = await received(stream)
        assert len(message.changes) <= BATCH
        revisions = [before, *(change.revision for change in message.changes)]
        assert revisions == sorted(set(revisions))
        assert revisions[-1] <= message.revision <= message.latest_revision
        found.extend(message.changes)
        before = message.revision
        if before >= revision:
            assert before == revision
            return found


async def test_the_first_message_comes_at_once(client: Client) -> None:
    assert await received(watch(client)) == pb.WatchChangesResponse()

    await client.remember("one", "two")

    quiet = pb.WatchChangesResponse(revision=2, latest_revision=2)
    assert await received(watch(client)) == quiet
    assert await received(watch(client, after_revision=2)) == quiet
    both = await received(watch(client, after_revision=0))
    assert (list(both.changes), both.revision) == (await feed(client), 2)


async def test_each_change_is_sent_once_after_it_was_made(client: Client) -> None:
    await client.put()
    stream = watch(client)
    assert await changes_to(stream, 1) == []

    made = await client.put(custom_id="a", container_tags=["b"])
    assert await changes_to(stream, 2) == await feed(client, after_revision=1)
    await client.remember("one", "two")
    await client.documents.BulkDeleteDocuments(BulkDeleteDocumentsRequest(ids=[made.id]))
    assert await changes_to(stream, 5) == await feed(client, after_revision=2)


async def test_many_changes_come_in_batches(client: Client) -> None:
    items = [UpsertDocumentRequest(content="x", container_tags=["a", "b"])] * 600
    for _ in range(2):
        await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))

    stream = watch(client, after_revision=0)

    assert len((await received(stream)).changes) == BATCH
    found = await changes_to(stream, 1200)
    assert found == await feed(client, after_revision=BATCH)
    assert len(found) == 1200 - BATCH


async def test_streams_are_counted_by_tenant(
    client: Client, connect: Connect, service: Service
) -> None:
    async with connect(tenant="other") as other:
        streams = [watch(client), watch(client), watch(other)]
        for stream in streams:
            await received(stream)
        principal = Principal(await service.store.ensure_tenant("test"), "")

        with service.store.changes.following(principal) as followed:
            assert followed.followers == 3
            streams[0].cancel()

            async def has_left() -> bool:
                return followed.followers == 2

            await until(has_left)


def test_the_more_streams_the_less_often_each_has_a_message() -> None:
    assert pause_seconds(1) == pause_seconds(10) == PAUSE_SECONDS
    assert pause_seconds(100) == pytest.approx(1.0)
    assert pause_seconds(10_000) == MAX_PAUSE_SECONDS


async def test_containers_and_kinds_are_chosen(client: Client) -> None:
    chosen = {"container_tags": ["a", "c"], "kinds": [pb.CHANGE_KIND_DOCUMENT_CREATED]}
    stream = watch(client, **chosen)
    await received(stream)
    for tag in ("a", "b", "c"):
        await client.put(container_tags=[tag])
        await client.remember("x", container=tag)
    await client.put(container_tags=["a", "b"])

    found = await changes_to(stream, 7)

    assert [list(change.container_tags) for change in found] == [["a"], ["c"], ["a"]]
    assert found == await feed(client, **chosen)


async def test_a_stream_of_which_nothing_is_asked_for_moves_on(client: Client) -> None:
    stream = watch(client, kinds=DELETIONS)
    assert (await received(stream)).revision == 0
    made = await client.put()

    assert await received(stream) == pb.WatchChangesResponse(revision=1, latest_revision=1)

    await client.documents.BulkDeleteDocuments(BulkDeleteDocumentsRequest(ids=[made.id]))
    (deleted,) = await changes_to(stream, 2)
    assert deleted.id == made.id


async def test_a_limited_key_sees_its_own_containers(client: Client, connect: Connect) -> None:
    async with connect(containers=["a"]) as limited:
        stream = watch(limited)
        await received(stream)
        await client.put(container_tags=["b"])
        await client.put(container_tags=["a", "b"])
        await client.remember("x", container="b")

        (change,) = await changes_to(stream, 3)
        assert (change.revision, list(change.container_tags)) == (2, ["a"])
        with refused(StatusCode.PERMISSION_DENIED, "CONTAINER_NOT_ALLOWED"):
            await received(watch(limited, container_tags=["a", "b"]))


async def test_tenants_see_their_own(client: Client, connect: Connect) -> None:
    async with connect(tenant="other") as other:
        ours, theirs = watch(client), watch(other)
        assert [(await received(one)).latest_revision for one in (ours, theirs)] == [0, 0]
        made = await client.put()
        await other.put()
        (first,) = await changes_to(ours, 1)
        assert first.id == made.id
        (second,) = await changes_to(theirs, 1)
        assert second.id != made.id


async def test_a_revision_that_is_yet_to_come_is_out_of_range(client: Client) -> None:
    await client.put()
    with refused(StatusCode.OUT_OF_RANGE, "REVISION_AHEAD") as refusal:
        await received(watch(client, after_revision=2))
    assert refusal.info.metadata["latest_revision"] == "1"


async def test_violations_are_reported_together(client: Client) -> None:
    request = {"after_revision": -1, "container_tags": ["a b"], "kinds": [0, 99]}
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await received(watch(client, **request))
    assert refusal.fields == ["after_revision", "container_tags[0]", "kinds[0]", "kinds[1]"]


async def test_what_another_server_commits_is_sent(
    client: Client, directory: Path, clock: ManualClock
) -> None:
    async with running_service(directory, clock, listen=f"unix:{directory / 'two'}") as second:
        stream = watch(client)
        await received(stream)
        async with connected(second.address, second.create_key()) as other:
            made = await other.put()
        (change,) = await changes_to(stream, 1)
        assert change.id == made.id


async def test_a_stream_that_is_cancelled_leaves_nothing(client: Client, service: Service) -> None:
    streams = [watch(client) for _ in range(10)]
    for stream in streams:
        await received(stream)
        stream.cancel()

    await until(lambda: service.server.calls_in_progress == 0 and service.store.idle)
    await client.put()


LONG = [f"{number:0100}" for number in range(10)]
"""Tags that make each change a kilobyte."""


async def changes_that_fill_all_buffers(client: Client) -> int:
    """More than a stream sends that is not read; returns the last revision."""
    items = [UpsertDocumentRequest(content="x", container_tags=LONG)] * 600
    for _ in range(10):
        await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))
    return 600 * 10


async def test_a_slow_reader_loses_nothing(client: Client, connect: Connect) -> None:
    last = await changes_that_fill_all_buffers(client)
    async with connect() as slow, connect() as quick:
        unread = watch(slow, after_revision=0)
        first = await received(unread)
        assert first.ByteSize() < 2 * BATCH * CHANGE_BYTES
        # Others are served meanwhile, also those who watch the same.
        assert len(await changes_to(watch(quick, after_revision=0), last)) == last

        found = [*first.changes, *await changes_to(unread, last)]
        assert [change.revision for change in found] == list(range(1, last + 1))


async def test_a_stream_that_is_not_read_ends_with_its_key(
    directory: Path, clock: ManualClock
) -> None:
    options = ServiceOptions(read_seconds=2)
    # Connections by a Unix socket have no names by which one could be closed.
    async with running_service(directory, clock, options=options, listen="127.0.0.1:0") as service:
        async with connected(service.address, service.create_key()) as client:
            await changes_that_fill_all_buffers(client)
        secret = service.create_key()
        async with connected(service.address, secret) as slow:
            unread = watch(slow, after_revision=0)
            await received(unread)
            service.revoke_key(secret)
            await until(lambda: service.server.calls_in_progress == 0 and service.store.idle)


async def test_a_stream_that_is_not_read_does_not_keep_the_server_from_stopping(
    directory: Path, clock: ManualClock
) -> None:
    async with running_service(directory, clock, drain_grace=0.2) as service:
        key = service.create_key()
        async with connected(service.address, key) as client:
            await changes_that_fill_all_buffers(client)
        channel = grpc.aio.insecure_channel(service.address)
        unread = ChangesStub(channel).WatchChanges(
            pb.WatchChangesRequest(after_revision=0),
            metadata=[("authorization", f"Bearer {key}")],
        )
        await received(unread)
    await channel.close()


async def test_a_reader_that_falls_behind_the_retention_is_told(
    directory: Path, clock: ManualClock
) -> None:
    async with (
        running_service(directory, clock, change_retention=1) as service,
        connected(service.address, service.create_key()) as client,
    ):
        last = await changes_that_fill_all_buffers(client)
        unread = watch(client, after_revision=0)
        await received(unread)
        clock.advance(2 * 86_400)
        await client.put()
        await service.store.trim_changes()

        with refused(StatusCode.OUT_OF_RANGE, "REVISION_GONE") as refusal:
            while (await received(unread)).revision < last:
                pass
        assert refusal.info.metadata["oldest_revision"] == str(last + 1)
        with refused(StatusCode.OUT_OF_RANGE, "REVISION_GONE"):
            await received(watch(client, after_revision=0))
