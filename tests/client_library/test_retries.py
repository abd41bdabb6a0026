"""What both clients make of errors and broken streams, told by a server that follows a script."""

from __future__ import annotations

import grpc
import pytest

import palimpsest
from palimpsest.calls import delay_of
from palimpsest.v1.changes_pb2 import Change, WatchChangesRequest, WatchChangesResponse
from palimpsest.v1.documents_pb2 import (
    DOCUMENT_STATUS_DONE,
    DOCUMENT_STATUS_EMBEDDING,
    DOCUMENT_STATUS_QUEUED,
    Document,
    DocumentStatus,
    WatchDocumentRequest,
    WatchDocumentResponse,
)
from palimpsest.v1.memories_pb2 import CreateMemoriesRequest, CreateMemoriesResponse
from service.core.errors import PalimpsestError as ServiceError
from service.core.errors import Reason
from tests.client_library.scripted import scripted
from tests.waiting import HANG_SECONDS

STOPPING = ServiceError(Reason.SHUTTING_DOWN, "The server is stopping", retry_after=0.01)
BUSY = ServiceError(Reason.REQUEST_IN_PROGRESS, "It is still running", retry_after=0.01)
GONE = ServiceError(Reason.REVISION_GONE, "It is not kept")
STALE = ServiceError(Reason.ETAG_MISMATCH, "Another was first")


async def create(asynchronous: bool, address: str) -> CreateMemoriesResponse:
    if asynchronous:
        async with palimpsest.connect_async(address, "key", timeout=HANG_SECONDS) as twin:
            return await twin.memories.create("user_7", "tea")
    with palimpsest.connect(address, "key", timeout=HANG_SECONDS) as client:
        return client.memories.create("user_7", "tea")


async def watch(asynchronous: bool, address: str, name: str) -> list[WatchDocumentResponse]:
    if asynchronous:
        async with palimpsest.connect_async(address, "key") as twin:
            return [state async for state in twin.documents.watch(name, container_tag="a")]
    with palimpsest.connect(address, "key") as client:
        return list(client.documents.watch(name, container_tag="a"))


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@both
async def test_a_call_is_repeated_with_the_same_request_id(asynchronous: bool) -> None:
    answer = CreateMemoriesResponse(revision=7)
    with scripted([BUSY], [STOPPING], [answer]) as server:
        assert await create(asynchronous, server.address) == answer

    ids = {CreateMemoriesRequest.FromString(raw).request_id for raw in server.requests}
    assert len(server.requests) == 3
    assert len(ids) == 1
    assert "" not in ids


@both
async def test_a_conflict_is_not_repeated(asynchronous: bool) -> None:
    with scripted([STALE]) as server, pytest.raises(palimpsest.ConflictError) as conflict:
        await create(asynchronous, server.address)

    assert conflict.value.reason == "ETAG_MISMATCH"


def state(status: DocumentStatus.ValueType) -> WatchDocumentResponse:
    return WatchDocumentResponse(document=Document(id="doc_1", custom_id="mine", status=status))


@both
async def test_a_watched_document_is_followed_over_connections(asynchronous: bool) -> None:
    queued, embedding, done = map(
        state, (DOCUMENT_STATUS_QUEUED, DOCUMENT_STATUS_EMBEDDING, DOCUMENT_STATUS_DONE)
    )
    with scripted(
        [STOPPING],
        [queued, STOPPING],
        [queued, embedding, STOPPING],
        [embedding, done],
        streams=True,
    ) as server:
        assert await watch(asynchronous, server.address, "mine") == [queued, embedding, done]

    asked = [WatchDocumentRequest.FromString(raw) for raw in server.requests]
    assert asked[:2] == [WatchDocumentRequest(id="mine", container_tag="a")] * 2
    assert asked[2:] == [WatchDocumentRequest(id="doc_1")] * 2


@both
async def test_a_document_may_be_deleted_between_two_connections(asynchronous: bool) -> None:
    gone = ServiceError(Reason.DOCUMENT_NOT_FOUND, "Document not found")
    queued = state(DOCUMENT_STATUS_QUEUED)
    with scripted([queued, STOPPING], [gone], streams=True) as server:
        states = await watch(asynchronous, server.address, "mine")

    deleted = WatchDocumentResponse(document=Document(id="doc_1"), deleted=True)
    assert states == [queued, deleted]


@both
async def test_a_document_that_never_was_is_not_found(asynchronous: bool) -> None:
    gone = ServiceError(Reason.DOCUMENT_NOT_FOUND, "Document not found")
    with scripted([gone], streams=True) as server, pytest.raises(palimpsest.NotFoundError):
        await watch(asynchronous, server.address, "mine")


async def follow(asynchronous: bool, address: str, seen: list[WatchChangesResponse]) -> None:
    if asynchronous:
        async with palimpsest.connect_async(address, "key") as twin:
            async for message in twin.changes.watch(after_revision=2, container_tags="user_7"):
                seen.append(message)  # noqa: PERF401 - it ends with an error
        return
    with palimpsest.connect(address, "key") as client:
        for message in client.changes.watch(after_revision=2, container_tags="user_7"):
            seen.append(message)  # noqa: PERF402 - it ends with an error


@both
async def test_changes_are_followed_over_connections(asynchronous: bool) -> None:
    """Each connection begins after the last revision, also one of a message without changes."""

    def step(revision: int, *changes: int) -> WatchChangesResponse:
        return WatchChangesResponse(
            revision=revision, changes=[Change(revision=each) for each in changes]
        )

    steps = [step(4, 3, 4), step(7), step(9, 8, 9)]
    seen = list[WatchChangesResponse]()
    with (
        scripted(
            [STOPPING], [steps[0], STOPPING], [steps[1], STOPPING], [steps[2], GONE], streams=True
        ) as server,
        pytest.raises(palimpsest.OutOfRangeError),
    ):
        await follow(asynchronous, server.address, seen)

    asked = [WatchChangesRequest.FromString(raw) for raw in server.requests]
    assert seen == steps
    assert [request.after_revision for request in asked] == [2, 2, 4, 7]
    assert {tuple(request.container_tags) for request in asked} == {("user_7",)}


def test_a_stream_gives_up_on_a_quota_that_stays_used_up() -> None:
    error = palimpsest.PalimpsestError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many calls", reason="QUOTA_EXCEEDED", retry_after=1
    )
    assert 10 < sum(delay_of(error, attempt) for attempt in range(8)) < 60
    with pytest.raises(palimpsest.PalimpsestError, match="QUOTA_EXCEEDED"):
        delay_of(error, 8)
