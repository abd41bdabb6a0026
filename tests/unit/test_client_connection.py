"""Calls are repeated where that is safe and may help."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from palimpsest.v1.documents_pb2 import (
    BatchUpsertDocumentsRequest,
    BatchUpsertDocumentsResponse,
    ListDocumentsRequest,
    ListDocumentsResponse,
    UpsertDocumentRequest,
)
from palimpsest.v1.documents_pb2_grpc import DocumentsServicer, add_DocumentsServicer_to_server
from service.client.address import parse_address
from service.client.channel import ServerError
from service.client.connection import connected
from service.client.target import Target


class Busy(DocumentsServicer):
    """Refuses the first calls."""

    def __init__(self) -> None:
        self.refusals = 0
        self.stopping = False
        self.calls = 0

    def _answer(self, context: grpc.ServicerContext) -> None:
        self.calls += 1
        if self.stopping:
            # As the service says it, and not gRPC in its place.
            context.set_trailing_metadata((("grpc-status-details-bin", b""),))
            context.abort(grpc.StatusCode.UNAVAILABLE, "The server is stopping.")
        if self.calls <= self.refusals:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too much is waiting")

    def BatchUpsertDocuments(  # noqa: N802  (the contract's name)
        self, request: BatchUpsertDocumentsRequest, context: grpc.ServicerContext
    ) -> BatchUpsertDocumentsResponse:
        self._answer(context)
        return BatchUpsertDocumentsResponse(revision=len(request.items))

    def ListDocuments(  # noqa: N802  (the contract's name)
        self, request: ListDocumentsRequest, context: grpc.ServicerContext
    ) -> ListDocumentsResponse:
        self._answer(context)
        return ListDocumentsResponse()


@pytest.fixture
def busy() -> Busy:
    return Busy()  # type: ignore[abstract]  # the other methods are not called


@pytest.fixture
def target(busy: Busy, tmp_path: Path) -> Iterator[Target]:
    server = grpc.server(
        ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 17 * 1024 * 1024)]
    )
    add_DocumentsServicer_to_server(busy, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Target(parse_address(f"127.0.0.1:{port}"))
    server.stop(None).wait()


def test_a_batch_is_repeated_whatever_its_size(busy: Busy, target: Target) -> None:
    busy.refusals = 2
    item = UpsertDocumentRequest(content="a" * 1_000_000)
    request = BatchUpsertDocumentsRequest(items=[item] * 8)
    with connected(target) as connection:
        answer = connection.call(connection.documents.BatchUpsertDocuments, request)
    assert answer.revision == 8
    assert busy.calls == 3


def test_other_calls_fail_at_once_in_words(busy: Busy, target: Target) -> None:
    busy.refusals = 1
    with (
        connected(target) as connection,
        pytest.raises(ServerError, match=r"Too much is waiting \(RESOURCE_EXHAUSTED\)"),
    ):
        connection.call(connection.documents.ListDocuments, ListDocumentsRequest())
    assert busy.calls == 1


def test_a_server_that_cannot_answer_now_is_not_taken_for_none(busy: Busy, target: Target) -> None:
    busy.stopping = True
    with (
        connected(target) as connection,
        pytest.raises(ServerError, match=r"^The server is stopping; try again$"),
    ):
        connection.call(connection.documents.ListDocuments, ListDocumentsRequest())
