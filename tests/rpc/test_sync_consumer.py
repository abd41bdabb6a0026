"""A synchronous consumer of the stubs, tested by grpcio-testing without any server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import grpc
import grpc_testing
import pytest
from google.protobuf.message import Message

from palimpsest.v1 import documents_pb2
from palimpsest.v1.documents_pb2 import (
    Document,
    GetDocumentRequest,
    GetDocumentResponse,
    ListDocumentsRequest,
    ListDocumentsResponse,
)
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from tests.waiting import HANG_SECONDS

SERVICE = documents_pb2.DESCRIPTOR.services_by_name["Documents"]


class Notebook:
    """What an application might build on the synchronous stubs."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._documents = DocumentsStub(channel)

    def titles(self, container: str) -> Iterator[str]:
        """The titles of a container's documents, page after page."""
        request = ListDocumentsRequest(container_tags=[container])
        while True:
            page = self._documents.ListDocuments(request, timeout=HANG_SECONDS)
            yield from (document.title for document in page.documents)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def text(self, name: str) -> str | None:
        """A document's content; None when there is no such document."""
        try:
            answer = self._documents.GetDocument(GetDocumentRequest(id=name), timeout=HANG_SECONDS)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return answer.document.content


Request = TypeVar("Request", bound=Message)


@pytest.fixture
def fake() -> grpc_testing.Channel:
    return grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def serve(
    fake: grpc_testing.Channel,
    method: str,
    request: type[Request],
    answer: Message,
    code: grpc.StatusCode = grpc.StatusCode.OK,
) -> Request:
    """Plays the server for one call, and returns the request it got."""
    _, received, call = fake.take_unary_unary(SERVICE.methods_by_name[method])
    call.send_initial_metadata(())
    call.terminate(answer, (), code, "")
    assert isinstance(received, request)
    return received


def test_a_synchronous_consumer_follows_page_tokens_to_the_end(
    fake: grpc_testing.Channel, threads: ThreadPoolExecutor
) -> None:
    titles = threads.submit(lambda: list(Notebook(fake).titles("ann")))

    first = serve(
        fake,
        "ListDocuments",
        ListDocumentsRequest,
        ListDocumentsResponse(
            documents=[Document(title="a"), Document(title="b")], next_page_token="more"
        ),
    )
    second = serve(
        fake,
        "ListDocuments",
        ListDocumentsRequest,
        ListDocumentsResponse(documents=[Document(title="c")]),
    )

    assert titles.result(5) == ["a", "b", "c"]
    assert first.container_tags == second.container_tags == ["ann"]
    assert second.page_token == "more"


def test_a_synchronous_consumer_tells_absence_from_failure(
    fake: grpc_testing.Channel, threads: ThreadPoolExecutor
) -> None:
    notebook = Notebook(fake)
    empty = GetDocumentResponse()

    there = threads.submit(notebook.text, "a")
    serve(
        fake,
        "GetDocument",
        GetDocumentRequest,
        GetDocumentResponse(document=Document(content="text")),
    )
    missing = threads.submit(notebook.text, "b")
    serve(fake, "GetDocument", GetDocumentRequest, empty, grpc.StatusCode.NOT_FOUND)
    failed = threads.submit(notebook.text, "c")
    serve(fake, "GetDocument", GetDocumentRequest, empty, grpc.StatusCode.UNAVAILABLE)

    assert there.result(5) == "text"
    assert missing.result(5) is None
    with pytest.raises(grpc.RpcError):
        failed.result(5)
