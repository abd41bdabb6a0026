"""What a path of the HTTP server is given, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from google.protobuf.message import Message

from palimpsest.v1.documents_pb2 import ListDocumentsRequest, ListDocumentsResponse
from palimpsest.v1.memories_pb2 import ListMemoriesRequest, ListMemoriesResponse

JSON = "application/json"


class HttpRequest(NamedTuple):
    """A request that was admitted, and has arrived.

    Args:
        parameters: Those of the path, percent-decoded.
        query: The values of each name of the query string, decoded.
        headers: By name in lower case.
        body: As it was sent.
        request_id: A UUID made of the header Idempotency-Key; "" without one.
        etag: That of the header If-Match; "" without one.
    """

    parameters: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes
    request_id: str = ""
    etag: str = ""


class HttpAnswer(NamedTuple):
    """An answer; `headers` are those beyond content-type and content-length."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()


class Calls(Protocol):
    """The RPCs of the contract, called by the principal of one HTTP request.

    Each call is authorized, counted against quotas and answered as it would be over gRPC, and
    raises PalimpsestError where that would fail.
    """

    async def call(self, method: str, request: Message) -> Any:
        """The response message of a unary method, such as "Documents.GetDocument".

        `request` is used up: fields that are no part of its fingerprint are cleared.
        """
        ...

    async def numbered_documents(
        self, request: ListDocumentsRequest, number: int, size: int
    ) -> tuple[ListDocumentsResponse, int]:
        """Documents.ListDocuments, by page number: the page, and the total of all pages.

        Pages are numbered from 1 and have `size` items, 1 to 1,000; one after the last is empty.
        The request's page_size and page_token are not looked at, and no next_page_token is
        answered. Raises INVALID_REQUEST also with the fields `page` and `limit`.
        """
        ...

    async def numbered_memories(
        self, request: ListMemoriesRequest, number: int, size: int
    ) -> tuple[ListMemoriesResponse, int]:
        """Memories.ListMemories, in the same way."""
        ...

    async def stream(self, method: str, request: Message) -> None:
        """Run a streaming method, whose messages are sent as events."""
        ...


Handler: TypeAlias = Callable[[Calls, HttpRequest], Awaitable[HttpAnswer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One verb of one path.

    Args:
        verb: In upper case.
        path: With parameters in braces: "/v3/documents/{id}". They match one raw segment.
        handler: Answers it.
        writes: Whether a key that may only read is refused.
        keyless: Whether it needs no key. It then counts against the budget of calls without one.
        takes: The type of content that a body must have; "" for any.
        streams: Whether its answer is a stream of events.
        local_only: Whether only callers on this machine are answered, and none through a proxy.
    """

    verb: str
    path: str
    handler: Handler
    writes: bool
    keyless: bool = False
    takes: str = JSON
    streams: bool = False
    local_only: bool = False
