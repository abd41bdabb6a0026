"""A small asyncio client: a key on every call, and the stubs of one channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
from google.protobuf.struct_pb2 import Struct
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2_grpc

from palimpsest.v1.changes_pb2_grpc import ChangesStub
from palimpsest.v1.containers_pb2_grpc import ContainersStub
from palimpsest.v1.documents_pb2 import (
    Document,
    DocumentReceipt,
    GetDocumentRequest,
    ListDocumentsRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from palimpsest.v1.memories_pb2 import (
    CreateMemoriesRequest,
    GetMemoryRequest,
    ListMemoriesRequest,
    Memory,
    MemoryReceipt,
    NewMemory,
)
from palimpsest.v1.memories_pb2_grpc import MemoriesStub

if TYPE_CHECKING:
    from palimpsest.v1.changes_pb2_grpc import ChangesAsyncStub
    from palimpsest.v1.containers_pb2_grpc import ContainersAsyncStub
    from palimpsest.v1.documents_pb2_grpc import DocumentsAsyncStub
    from palimpsest.v1.memories_pb2_grpc import MemoriesAsyncStub

Call = grpc.aio.ClientCallDetails
Response = TypeVar("Response")


class _Bearer:
    def __init__(self, key: str) -> None:
        self._pair = ("authorization", f"Bearer {key}")

    def _with_key(self, call: Call) -> Call:
        metadata = grpc.aio.Metadata(*(call.metadata or ()), self._pair)
        return Call(call.method, call.timeout, metadata, call.credentials, call.wait_for_ready)


class _BearerUnary(_Bearer, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Call, request: Any
    ) -> Any:
        return await continuation(self._with_key(client_call_details), request)


class _BearerStream(_Bearer, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Call, request: Any
    ) -> Any:
        return await continuation(self._with_key(client_call_details), request)


@dataclass(frozen=True)
class Client:
    """The services behind one channel, and shorthands for what tests do often."""

    channel: grpc.aio.Channel
    documents: DocumentsAsyncStub
    memories: MemoriesAsyncStub
    containers: ContainersAsyncStub
    changes: ChangesAsyncStub

    async def put(self, content: str = "text", **fields: Any) -> DocumentReceipt:
        if isinstance(fields.get("metadata"), Mapping):
            fields["metadata"] = struct(fields["metadata"])
        answer = await self.documents.UpsertDocument(
            UpsertDocumentRequest(content=content, **fields)
        )
        return answer.receipt

    async def get(self, name: str, home: str = "") -> Document:
        request = GetDocumentRequest(id=name, container_tag=home)
        return (await self.documents.GetDocument(request)).document

    async def pages(self, **fields: Any) -> AsyncIterator[Sequence[Document]]:
        """Every page of a listing of documents."""
        request = ListDocumentsRequest(**fields)
        while True:
            page = await self.documents.ListDocuments(request)
            yield page.documents
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def ids(self, **fields: Any) -> list[str]:
        """The ids of a whole listing of documents, in its order."""
        return [item.id async for page in self.pages(**fields) for item in page]

    async def remember(
        self, *memories: str | NewMemory, container: str = ""
    ) -> list[MemoryReceipt]:
        answer = await self.memories.CreateMemories(
            CreateMemoriesRequest(
                container_tag=container,
                memories=[NewMemory(content=m) if isinstance(m, str) else m for m in memories],
            )
        )
        return list(answer.receipts)

    async def memory(self, memory_id: str, **fields: Any) -> Memory:
        request = GetMemoryRequest(id=memory_id, **fields)
        return (await self.memories.GetMemory(request)).memory

    async def remembered(self, **fields: Any) -> list[Memory]:
        """A whole listing of memories, in its order."""
        request, found = ListMemoriesRequest(**fields), list[Memory]()
        while True:
            page = await self.memories.ListMemories(request)
            found.extend(page.memories)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


@asynccontextmanager
async def connected(address: str, key: str | None) -> AsyncIterator[Client]:
    """A client of the server at `address`; None calls without a key."""
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (
        [] if key is None else [_BearerUnary(key), _BearerStream(key)]
    )
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(
        address, interceptors=interceptors, options=options
    ) as channel:
        yield Client(
            channel,
            DocumentsStub(channel),
            MemoriesStub(channel),
            ContainersStub(channel),
            ChangesStub(channel),
        )


async def received(call: grpc.aio.UnaryStreamCall[Any, Response]) -> Response:
    """The next message of a stream that has not ended."""
    message = await call.read()
    assert message is not grpc.aio.EOF, "the stream has ended"
    return cast(Response, message)


def health_stub(channel: grpc.aio.Channel) -> Any:
    """The health service behind a channel; its type stubs have no methods."""
    return health_pb2_grpc.HealthStub(channel)


def struct(values: Mapping[str, object]) -> Struct:
    made = Struct()
    made.update(values)  # type: ignore[arg-type]
    return made


@dataclass
class Refusal:
    """What a refused call said; filled when the block that made it ends."""

    message: str = ""
    info: error_details_pb2.ErrorInfo = field(default_factory=error_details_pb2.ErrorInfo)
    fields: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


@contextmanager
def refused(code: grpc.StatusCode, reason: str) -> Iterator[Refusal]:
    """Expects the call to fail with this code and reason, and in proper form."""
    refusal = Refusal()
    try:
        yield refusal
    except grpc.RpcError as error:
        read_refusal(error, refusal)
        got = error
    else:
        raise AssertionError(f"the call succeeded instead of failing with {reason}")
    assert (got.code(), refusal.info.reason) == (code, reason), refusal.message


def read_refusal(error: Any, refusal: Refusal) -> None:
    """Decodes the rich status of an error, and checks what holds for every error."""
    raw = dict(error.trailing_metadata() or ())
    assert "grpc-status-details-bin" in raw, f"{error.code()}: {error.details()}"
    status = status_pb2.Status.FromString(raw["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    refusal.message = status.message
    infos = []
    for packed in status.details:
        refusal.kinds.append(packed.type_url.rpartition(".")[2])
        name = packed.TypeName()
        if name == error_details_pb2.ErrorInfo.DESCRIPTOR.full_name:
            infos.append(error_details_pb2.ErrorInfo.FromString(packed.value))
        elif name == error_details_pb2.BadRequest.DESCRIPTOR.full_name:
            bad = error_details_pb2.BadRequest.FromString(packed.value)
            refusal.fields.extend(violation.field for violation in bad.field_violations)
    assert len(infos) == 1
    assert infos[0].domain == "palimpsest"
    assert raw["palimpsest-reason"] == infos[0].reason
    refusal.info = infos[0]
