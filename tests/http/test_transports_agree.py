"""A call is answered the same over gRPC, over /v1 and over Connect's paths."""

from __future__ import annotations

import tempfile
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from palimpsest.v1 import changes_pb2 as ch
from palimpsest.v1 import common_pb2
from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.filter_pb2 import (
    FILTER_FIELD_STATUS,
    Condition,
    Filter,
    FilterList,
    MatchCondition,
)
from service.http import openapi
from tests.client import Client, connected, struct
from tests.http.transports import (
    METHODS,
    Answer,
    ConnectTransport,
    GrpcTransport,
    NativeTransport,
    Neutral,
    Transport,
)
from tests.inprocess import ManualClock, Service, running_service
from tests.rpc.asks import ASKS, REQUEST_ID, Things, furnish
from tests.waiting import until

FUTURE: Final = Timestamp(seconds=32_503_680_000)
NOBODY: Final = "mem_0000000000000000000000"
STATUSES: Final = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
}
DOCUMENTED: Final = {
    operation["operationId"]: operation["responses"].keys()
    for item in openapi.document()["paths"].values()
    for operation in item.values()
}

Make = Callable[[Things], Message]


def conversation(*texts: str) -> d.Conversation:
    return d.Conversation(messages=[d.ConversationMessage(speaker="Ann", text=t) for t in texts])


def nested(levels: int) -> Filter:
    made = Filter(match=MatchCondition(key="k", value="v"))
    for _ in range(levels):
        made = Filter(negated=made)
    return made


FAILURES: Final[list[tuple[str, Make, str]]] = [
    ("Documents.UpsertDocument", lambda t: d.UpsertDocumentRequest(), "INVALID_REQUEST"),
    (
        "Documents.UpsertDocument",
        lambda t: d.UpsertDocumentRequest(content="x", custom_id="doc_x", request_id="no"),
        "INVALID_REQUEST",
    ),
    (
        "Documents.UpsertDocument",
        lambda t: d.UpsertDocumentRequest(
            content="x",
            container_tags=["a b", "a b"],
            title="\0",
            metadata=struct({"bad key": 1, "n": None, "deep": {"a": 1}}),
        ),
        "INVALID_REQUEST",
    ),
    (
        "Documents.UpsertDocument",
        lambda t: d.UpsertDocumentRequest(content="x", content_bytes=b"y"),
        "INVALID_REQUEST",
    ),
    (
        "Documents.UpsertDocument",
        lambda t: d.UpsertDocumentRequest(
            conversation=d.Conversation(messages=[d.ConversationMessage(utc_offset_minutes=9999)])
        ),
        "INVALID_REQUEST",
    ),
    (
        "Documents.UpsertDocument",
        lambda t: d.UpsertDocumentRequest(
            content="x", custom_id=t.custom_id, mode=d.UPSERT_MODE_CREATE_ONLY
        ),
        "CUSTOM_ID_EXISTS",
    ),
    (
        "Documents.UpsertDocument",
        lambda t: d.UpsertDocumentRequest(
            content="x", custom_id="nobody's", mode=d.UPSERT_MODE_UPDATE_ONLY
        ),
        "DOCUMENT_NOT_FOUND",
    ),
    (
        "Documents.UpsertDocument",
        lambda t: d.UpsertDocumentRequest(content="x", custom_id=t.custom_id, etag="stale"),
        "ETAG_MISMATCH",
    ),
    (
        "Documents.UpsertDocument",
        lambda t: d.UpsertDocumentRequest(content="x", request_id=REQUEST_ID),
        "REQUEST_ID_REUSED",
    ),
    (
        "Documents.BatchUpsertDocuments",
        lambda t: d.BatchUpsertDocumentsRequest(
            items=[
                d.UpsertDocumentRequest(content="x"),
                d.UpsertDocumentRequest(custom_id="mem_x", container_tags=["ok", "not ok"]),
            ]
        ),
        "INVALID_REQUEST",
    ),
    ("Documents.GetDocument", lambda t: d.GetDocumentRequest(id="a/b:watch"), "DOCUMENT_NOT_FOUND"),
    ("Documents.GetDocument", lambda t: d.GetDocumentRequest(id="100%"), "DOCUMENT_NOT_FOUND"),
    ("Documents.GetDocument", lambda t: d.GetDocumentRequest(id="x" * 101), "INVALID_REQUEST"),
    ("Documents.GetDocument", lambda t: d.GetDocumentRequest(id="a\0b"), "INVALID_REQUEST"),
    (
        "Documents.ListDocuments",
        lambda t: d.ListDocumentsRequest(page_size=-1, filter=nested(5)),
        "INVALID_REQUEST",
    ),
    (
        "Documents.ListDocuments",
        lambda t: d.ListDocumentsRequest(
            page_token=t.tokens["ListDocuments"], statuses=[d.DOCUMENT_STATUS_DONE]
        ),
        "INVALID_PAGE_TOKEN",
    ),
    (
        "Documents.ListDocuments",
        lambda t: d.ListDocumentsRequest(
            filter=Filter(all_of=FilterList(filters=[Filter(condition=Condition(key="bad key"))]))
        ),
        "INVALID_REQUEST",
    ),
    (
        "Documents.ListChunks",
        lambda t: d.ListChunksRequest(id=t.document, page_token="none"),
        "INVALID_PAGE_TOKEN",
    ),
    (
        "Documents.UpdateDocument",
        lambda t: d.UpdateDocumentRequest(id=t.document, title="x", etag="stale"),
        "ETAG_MISMATCH",
    ),
    (
        "Documents.UpdateDocument",
        lambda t: d.UpdateDocumentRequest(id="nobody's", title="x"),
        "DOCUMENT_NOT_FOUND",
    ),
    (
        "Documents.UpdateDocument",
        lambda t: d.UpdateDocumentRequest(id=t.document, content=""),
        "INVALID_REQUEST",
    ),
    (
        "Documents.DeleteDocument",
        lambda t: d.DeleteDocumentRequest(id=t.document, etag="stale"),
        "ETAG_MISMATCH",
    ),
    ("Documents.BulkDeleteDocuments", lambda t: d.BulkDeleteDocumentsRequest(), "INVALID_REQUEST"),
    (
        "Documents.BulkDeleteDocuments",
        lambda t: d.BulkDeleteDocumentsRequest(ids=["a"], container_tags=["b"]),
        "INVALID_REQUEST",
    ),
    (
        "Documents.AppendMessages",
        lambda t: d.AppendMessagesRequest(
            id=t.document, messages=[d.ConversationMessage(text="x")]
        ),
        "NOT_A_CONVERSATION",
    ),
    (
        "Documents.AppendMessages",
        lambda t: d.AppendMessagesRequest(id=t.document, messages=[d.ConversationMessage()]),
        "INVALID_REQUEST",
    ),
    (
        "Documents.SearchDocuments",
        lambda t: d.SearchDocumentsRequest(query="", limit=101, min_score=2, must_contain=["!"]),
        "INVALID_REQUEST",
    ),
    (
        "Documents.WatchDocument",
        lambda t: d.WatchDocumentRequest(id="nobody's"),
        "DOCUMENT_NOT_FOUND",
    ),
    ("Documents.WatchDocument", lambda t: d.WatchDocumentRequest(id="x" * 101), "INVALID_REQUEST"),
    ("Memories.CreateMemories", lambda t: m.CreateMemoriesRequest(), "INVALID_REQUEST"),
    (
        "Memories.CreateMemories",
        lambda t: m.CreateMemoriesRequest(
            memories=[
                m.NewMemory(content="x", forget_after=Timestamp(seconds=1)),
                m.NewMemory(
                    content="y",
                    forget_reason="why",
                    temporal_context=m.TemporalContext(document_date="soon", event_dates=["never"]),
                ),
            ]
        ),
        "INVALID_REQUEST",
    ),
    (
        "Memories.GetMemory",
        lambda t: m.GetMemoryRequest(id=t.memory, as_of=FUTURE),
        "TIME_IN_FUTURE",
    ),
    ("Memories.GetMemory", lambda t: m.GetMemoryRequest(id=NOBODY), "MEMORY_NOT_FOUND"),
    ("Memories.ListMemories", lambda t: m.ListMemoriesRequest(as_of=FUTURE), "TIME_IN_FUTURE"),
    (
        "Memories.ListMemories",
        lambda t: m.ListMemoriesRequest(page_token="none"),
        "INVALID_PAGE_TOKEN",
    ),
    (
        "Memories.ListMemoryVersions",
        lambda t: m.ListMemoryVersionsRequest(id=t.memory, page_size=-1),
        "INVALID_REQUEST",
    ),
    (
        "Memories.UpdateMemory",
        lambda t: m.UpdateMemoryRequest(id=t.superseded, new_content="x"),
        "MEMORY_NOT_LATEST",
    ),
    (
        "Memories.UpdateMemory",
        lambda t: m.UpdateMemoryRequest(id=t.forgotten, new_content="x"),
        "MEMORY_FORGOTTEN",
    ),
    (
        "Memories.UpdateMemory",
        lambda t: m.UpdateMemoryRequest(id=t.memory, content="another", new_content="x"),
        "CONTENT_MISMATCH",
    ),
    ("Memories.UpdateMemory", lambda t: m.UpdateMemoryRequest(new_content="x"), "INVALID_REQUEST"),
    (
        "Memories.ForgetMemory",
        lambda t: m.ForgetMemoryRequest(content="twin"),
        "AMBIGUOUS_CONTENT",
    ),
    (
        "Memories.ForgetMemory",
        lambda t: m.ForgetMemoryRequest(id=t.memory, etag="stale"),
        "ETAG_MISMATCH",
    ),
    (
        "Memories.RestoreMemory",
        lambda t: m.RestoreMemoryRequest(id=t.memory),
        "MEMORY_NOT_FORGOTTEN",
    ),
    (
        "Memories.ForgetMemories",
        lambda t: m.ForgetMemoriesRequest(ids=[t.superseded, t.forgotten, NOBODY]),
        "MEMORY_NOT_FOUND",
    ),
    (
        "Memories.ForgetMemories",
        lambda t: m.ForgetMemoriesRequest(
            filter=Filter(match=MatchCondition(key="k", value="v", negate=True)), max_forget=1
        ),
        "TOO_MANY_MATCHES",
    ),
    (
        "Memories.ForgetMemories",
        lambda t: m.ForgetMemoriesRequest(query="x", ids=["a"]),
        "INVALID_REQUEST",
    ),
    (
        "Memories.RestoreMemories",
        lambda t: m.RestoreMemoriesRequest(forget_batch_id="fgt_0"),
        "FORGET_BATCH_NOT_FOUND",
    ),
    (
        "Memories.SearchMemories",
        lambda t: m.SearchMemoriesRequest(
            query="x", as_of=Timestamp(seconds=1), include_chunks=True
        ),
        "INVALID_REQUEST",
    ),
    ("Memories.GetProfile", lambda t: m.GetProfileRequest(limit=101), "INVALID_REQUEST"),
    ("Memories.DeleteMemory", lambda t: m.DeleteMemoryRequest(id=NOBODY), "MEMORY_NOT_FOUND"),
    ("Containers.ListContainers", lambda t: c.ListContainersRequest(prefix="é"), "INVALID_REQUEST"),
    (
        "Containers.ListContainers",
        lambda t: c.ListContainersRequest(page_token="none"),
        "INVALID_PAGE_TOKEN",
    ),
    (
        "Containers.DeleteContainer",
        lambda t: c.DeleteContainerRequest(container_tag="no/body"),
        "CONTAINER_NOT_FOUND",
    ),
    (
        "Containers.DeleteContainer",
        lambda t: c.DeleteContainerRequest(container_tag="not ok"),
        "INVALID_REQUEST",
    ),
    (
        "Changes.ListChanges",
        lambda t: ch.ListChangesRequest(after_revision=-1, kinds=[0], page_size=-1),  # type: ignore[list-item]
        "INVALID_REQUEST",
    ),
    (
        "Changes.ListChanges",
        lambda t: ch.ListChangesRequest(after_revision=2**60),
        "REVISION_AHEAD",
    ),
    (
        "Changes.WatchChanges",
        lambda t: ch.WatchChangesRequest(after_revision=-1, kinds=[0]),  # type: ignore[list-item]
        "INVALID_REQUEST",
    ),
    (
        "Changes.WatchChanges",
        lambda t: ch.WatchChangesRequest(after_revision=2**60),
        "REVISION_AHEAD",
    ),
]
"""What an owner may not do either, and why."""

READS: Final[list[tuple[str, Make]]] = [
    ("Documents.GetDocument", lambda t: d.GetDocumentRequest(id="chat/1: a%2Fb")),
    (
        "Documents.ListDocuments",
        lambda t: d.ListDocumentsRequest(
            include_content=True,
            order=common_pb2.LIST_ORDER_CREATED_ASC,
            filter=Filter(
                any_of=FilterList(
                    filters=[
                        Filter(condition=Condition(key="k", exists=True)),
                        Filter(
                            condition=Condition(field=FILTER_FIELD_STATUS, equals_string="DONE")
                        ),
                    ]
                )
            ),
        ),
    ),
    ("Documents.ListChunks", lambda t: d.ListChunksRequest(id=t.document)),
    (
        "Documents.SearchDocuments",
        lambda t: d.SearchDocumentsRequest(
            query="lighthouse", include_content=True, include_score_parts=True, neighbors=1
        ),
    ),
    ("Documents.WatchDocument", lambda t: d.WatchDocumentRequest(id=t.document)),
    ("Memories.GetMemory", lambda t: m.GetMemoryRequest(id=t.superseded)),
    (
        "Memories.ListMemories",
        lambda t: m.ListMemoriesRequest(include_forgotten=True, include_history=True),
    ),
    ("Memories.ListMemoryVersions", lambda t: m.ListMemoryVersionsRequest(id=t.superseded)),
    (
        "Memories.SearchMemories",
        lambda t: m.SearchMemoriesRequest(
            query="lighthouse", include_chunks=True, include_score_parts=True
        ),
    ),
    ("Memories.GetProfile", lambda t: m.GetProfileRequest(query="lighthouse")),
    ("Containers.ListContainers", lambda t: c.ListContainersRequest()),
    (
        "Changes.ListChanges",
        lambda t: ch.ListChangesRequest(
            after_revision=1,
            container_tags=["vault", "default"],
            kinds=[ch.CHANGE_KIND_DOCUMENT_CREATED, ch.CHANGE_KIND_MEMORY_UPDATED],
            page_size=3,
        ),
    ),
    (
        "Changes.WatchChanges",
        lambda t: ch.WatchChangesRequest(
            after_revision=1,
            container_tags=["vault", "default"],
            kinds=[ch.CHANGE_KIND_DOCUMENT_CREATED, ch.CHANGE_KIND_MEMORY_UPDATED],
        ),
    ),
]
WRITES: Final[list[tuple[str, Make]]] = [
    (
        "Documents.UpsertDocument",
        lambda t: d.UpsertDocumentRequest(
            content="# Title\n\nText",
            custom_id="a/b",
            container_tags=["z", "a"],
            metadata=struct({"n": 1.5, "b": True, "l": ["x"], "s": "é\u2028"}),
            title="",
            document_date=Timestamp(seconds=-1, nanos=500_000_000),
            mode=d.UPSERT_MODE_CREATE_ONLY,
            content_kind=d.CONTENT_KIND_MARKDOWN,
            wait=True,
        ),
    ),
    (
        "Documents.BatchUpsertDocuments",
        lambda t: d.BatchUpsertDocumentsRequest(
            items=[
                d.UpsertDocumentRequest(
                    content="<p>x", custom_id="file", content_kind=d.CONTENT_KIND_HTML
                ),
                d.UpsertDocumentRequest(content="x", custom_id="note", container_tags=["other"]),
            ]
        ),
    ),
    (
        "Documents.UpdateDocument",
        lambda t: d.UpdateDocumentRequest(id="a/b", title="", clear_document_date=True),
    ),
    (
        "Documents.AppendMessages",
        lambda t: d.AppendMessagesRequest(
            id="chat/1: a%2Fb",
            messages=[d.ConversationMessage(text="more", image_caption="a boat")],
        ),
    ),
    ("Documents.DeleteDocument", lambda t: d.DeleteDocumentRequest(id="a/b")),
    (
        "Documents.DeleteDocument",
        lambda t: d.DeleteDocumentRequest(id="a/b", allow_missing=True),
    ),
    (
        "Documents.BulkDeleteDocuments",
        lambda t: d.BulkDeleteDocumentsRequest(ids=["file", "a/b"]),
    ),
    (
        "Memories.CreateMemories",
        lambda t: m.CreateMemoriesRequest(
            memories=[
                m.NewMemory(
                    content="until then",
                    forget_after=FUTURE,
                    forget_reason="over",
                    source_document_id=t.document,
                    temporal_context=m.TemporalContext(document_date="2026-05-08"),
                )
            ]
        ),
    ),
    (
        "Memories.UpdateMemory",
        lambda t: m.UpdateMemoryRequest(
            content="until then", new_content="for ever", clear_forget_after=True, is_static=False
        ),
    ),
    ("Memories.ForgetMemory", lambda t: m.ForgetMemoryRequest(content="for ever", reason="why")),
    ("Memories.RestoreMemory", lambda t: m.RestoreMemoryRequest(id=t.forgotten)),
    (
        "Memories.ForgetMemories",
        lambda t: m.ForgetMemoriesRequest(query="lighthouse", min_score=0.1, validate_only=True),
    ),
    ("Memories.ForgetMemories", lambda t: m.ForgetMemoriesRequest(ids=[t.forgotten])),
    ("Memories.RestoreMemories", lambda t: m.RestoreMemoriesRequest(forget_batch_id=t.batch)),
    ("Memories.DeleteMemory", lambda t: m.DeleteMemoryRequest(id=t.forgotten)),
    (
        "Memories.DeleteMemory",
        lambda t: m.DeleteMemoryRequest(id=t.forgotten, allow_missing=True),
    ),
    (
        "Containers.DeleteContainer",
        lambda t: c.DeleteContainerRequest(container_tag="vault", validate_only=True),
    ),
    ("Containers.DeleteContainer", lambda t: c.DeleteContainerRequest(container_tag="team/vault")),
]


@dataclass(frozen=True)
class Tenant:
    """A tenant of one transport."""

    transport: Transport
    things: Things
    client: Client
    keys: dict[str, str | None]
    neutral: Neutral

    async def settled(self) -> None:
        """Until all documents are processed."""
        working = [
            d.DOCUMENT_STATUS_QUEUED,
            d.DOCUMENT_STATUS_EXTRACTING,
            d.DOCUMENT_STATUS_CHUNKING,
            d.DOCUMENT_STATUS_EMBEDDING,
            d.DOCUMENT_STATUS_INDEXING,
        ]

        async def idle() -> bool:
            request = d.ListDocumentsRequest(statuses=working, page_size=1)
            return not (await self.client.documents.ListDocuments(request)).documents

        await until(idle)


@asynccontextmanager
async def serving() -> AsyncIterator[
    tuple[Service, GrpcTransport, NativeTransport, ConnectTransport]
]:
    """A service, and each way to it."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder:
        socket = Path(folder) / "http"
        async with (
            running_service(Path(folder), ManualClock(), workers=1, http=f"unix:{socket}") as made,
            grpc.aio.insecure_channel(made.address) as channel,
            httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(socket)),
                base_url="http://localhost",
                timeout=None,
            ) as client,
        ):
            yield made, GrpcTransport(channel), NativeTransport(client), ConnectTransport(client)


@asynccontextmanager
async def tenant(service: Service, transport: Transport) -> AsyncIterator[Tenant]:
    """A tenant with things, which another one has as well."""
    name = type(transport).__name__
    revoked = service.create_key(tenant=name)
    service.revoke_key(revoked)
    owner = service.create_key(tenant=name)
    keys = {
        "owner": owner,
        "elsewhere": service.create_key(tenant=name, containers=["elsewhere"]),
        "read only": service.create_key(tenant=name, read_only=True),
        "revoked": revoked,
        "none": None,
    }
    async with connected(service.address, owner) as client:
        things = await furnish(client)
        await client.remember("twin", "twin")
        await client.remember("in a vault", container="team/vault")
        await client.documents.UpsertDocument(
            d.UpsertDocumentRequest(
                conversation=conversation("Where is the lighthouse?", "On the cliff."),
                custom_id="chat/1: a%2Fb",
            )
        )
        made = Tenant(transport, things, client, keys, Neutral())
        await made.settled()
        yield made


def calls() -> list[tuple[str, str, Make]]:
    """Each call, by whose key it is made."""
    made: list[tuple[str, str, Make]] = []

    def asked(name: str, number: int) -> Make:
        return lambda things: ASKS[name](things)[number][0]

    for key in ("none", "revoked", "read only", "elsewhere"):
        for name, asks in ASKS.items():
            made += [(key, name, asked(name, i)) for i in range(len(asks(NOTHING)))]
    made += [("owner", name, make) for name, make in READS]
    made += [("owner", name, make) for name, make, _ in FAILURES]
    made += [("owner", name, make) for name, make in WRITES]
    made += [("owner", name, make) for name, make in READS]
    for name, asks in ASKS.items():
        made += [("owner", name, asked(name, i)) for i in range(len(asks(NOTHING)))]
    return made


NOTHING: Final = Things("d", "c", "m", "s", "f", "b", "e", "e", defaultdict(str))


@pytest.mark.slow
async def test_each_call_is_answered_the_same() -> None:
    async with (
        serving() as (service, over_grpc, native, connect),
        tenant(service, over_grpc) as first,
        tenant(service, native) as second,
        tenant(service, connect) as third,
    ):
        codes = defaultdict[str, set[str]](set)
        for key, name, make in calls():
            # Connect's paths are those of calls with one answer.
            unary = [third] if not METHODS[name].server_streaming else []
            answers = []
            for one in (first, second, *unary):
                answer = await one.transport.call(name, make(one.things), one.keys[key])
                answers.append((answer, one.neutral(answer)))
                if key == "owner":
                    await one.settled()
            (given, expected), *others = answers
            codes[name].add(given.code)
            for answer, plain in others:
                assert plain == expected, (key, name, make(first.things))
                assert_status(name, given.code, answer)
        assert codes.keys() == METHODS.keys()
        assert all("OK" in codes[name] and len(codes[name]) > 2 for name in METHODS), codes


def assert_status(name: str, code: str, answer: Answer) -> None:
    status = 200 if code == "OK" else STATUSES[code]
    assert answer.status == status
    operation = name.partition(".")[2]
    assert str(status) in DOCUMENTED[operation[0].lower() + operation[1:]]
    assert answer.headers["x-request-id"]
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_each_failure_is_the_one_that_is_meant() -> None:
    async with serving() as (service, over_grpc, *_), tenant(service, over_grpc) as owner:
        for name, make, reason in FAILURES:
            request = make(owner.things)
            answer = await owner.transport.call(name, request, owner.keys["owner"])
            assert answer.reason == reason, (name, request, answer)


REPEATED: Final[list[tuple[str, Make]]] = [
    ("Documents.UpsertDocument", lambda t: d.UpsertDocumentRequest(content="x")),
    (
        "Documents.BatchUpsertDocuments",
        lambda t: d.BatchUpsertDocumentsRequest(items=[d.UpsertDocumentRequest(content="x")]),
    ),
    (
        "Documents.UpdateDocument",
        lambda t: d.UpdateDocumentRequest(id=t.custom_id, title="another"),
    ),
    (
        "Documents.AppendMessages",
        lambda t: d.AppendMessagesRequest(
            id="chat/1: a%2Fb", messages=[d.ConversationMessage(text="once")]
        ),
    ),
    ("Documents.DeleteDocument", lambda t: d.DeleteDocumentRequest(id=t.custom_id)),
    (
        "Documents.BulkDeleteDocuments",
        lambda t: d.BulkDeleteDocumentsRequest(ids=["chat/1: a%2Fb"]),
    ),
    (
        "Memories.CreateMemories",
        lambda t: m.CreateMemoriesRequest(memories=[m.NewMemory(content="x")]),
    ),
    ("Memories.UpdateMemory", lambda t: m.UpdateMemoryRequest(id=t.memory, new_content="x")),
    ("Memories.RestoreMemory", lambda t: m.RestoreMemoryRequest(id=t.forgotten)),
    ("Memories.ForgetMemory", lambda t: m.ForgetMemoryRequest(id=t.forgotten)),
    ("Memories.RestoreMemories", lambda t: m.RestoreMemoriesRequest(forget_batch_id=t.batch)),
    (
        "Memories.ForgetMemories",
        lambda t: m.ForgetMemoriesRequest(
            filter=Filter(match=MatchCondition(key="k", negate=True))
        ),
    ),
    ("Memories.DeleteMemory", lambda t: m.DeleteMemoryRequest(id=t.forgotten)),
    (
        "Containers.DeleteContainer",
        lambda t: c.DeleteContainerRequest(container_tag="team/vault"),
    ),
]
"""Mutations that do something the first time, and would be answered otherwise the second."""


def test_every_mutation_is_repeated() -> None:
    mutations = {n for n, one in METHODS.items() if "request_id" in one.input_type.fields_by_name}
    assert {name for name, _ in REPEATED} == mutations


async def test_a_request_id_counts_over_each() -> None:
    async with serving() as (service, over_grpc, native, connect):
        orders: list[list[Transport]] = [[over_grpc, native, connect], [connect, native, over_grpc]]
        for transports in orders:
            async with tenant(service, transports[0]) as owner:
                for name, make in REPEATED:
                    await repeat(transports, owner, name, make)


async def repeat(transports: Sequence[Transport], owner: Tenant, name: str, make: Make) -> None:
    """A mutation, the first time over the first transport and again over the others."""
    key = owner.keys["owner"]
    request: Any = make(owner.things)
    request.request_id = str(uuid.uuid4())
    answers = [await transport.call(name, request, key) for transport in transports]
    assert [answer.code for answer in answers] == ["OK"] * 3, (name, answers)
    one, *others = [answer.messages for answer in answers]
    assert others == [one, one], name
    other = d.UpsertDocumentRequest(content=name, request_id=request.request_id)
    for transport in transports:
        refused = await transport.call("Documents.UpsertDocument", other, key)
        assert refused.reason == "REQUEST_ID_REUSED", name
    await owner.settled()


async def test_an_idempotency_key_is_the_request_id() -> None:
    async with (
        serving() as (service, over_grpc, native, _),
        tenant(service, over_grpc) as owner,
    ):
        key = owner.keys["owner"]
        request_id = str(uuid.uuid4())
        body = {"content": "x", "customId": "once"}
        over_http = await native.send(
            "POST", "/v1/documents", [], body, key, **{"idempotency-key": request_id}
        )
        request = d.UpsertDocumentRequest(content="x", custom_id="once", request_id=request_id)
        repeated = await over_grpc.call("Documents.UpsertDocument", request, key)
        assert repeated.messages == [json_format.Parse(over_http.text, d.UpsertDocumentResponse())]


PAGED: Final[list[tuple[str, Make]]] = [
    ("Documents.ListDocuments", lambda t: d.ListDocumentsRequest(page_size=1)),
    ("Documents.ListChunks", lambda t: d.ListChunksRequest(id="chat/1: a%2Fb", page_size=1)),
    ("Memories.ListMemories", lambda t: m.ListMemoriesRequest(page_size=1)),
    (
        "Memories.ListMemoryVersions",
        lambda t: m.ListMemoryVersionsRequest(id=t.memory, page_size=1),
    ),
    ("Containers.ListContainers", lambda t: c.ListContainersRequest(page_size=1)),
]


def test_every_list_is_paged() -> None:
    lists = {n for n, one in METHODS.items() if "page_token" in one.input_type.fields_by_name}
    assert {name for name, _ in PAGED} == lists


async def test_a_page_token_counts_over_each() -> None:
    async with (
        serving() as (service, over_grpc, native, connect),
        tenant(service, over_grpc) as owner,
    ):
        for name, make in PAGED:
            for first in (over_grpc, native, connect):
                await turn_page(first, (over_grpc, native, connect), owner, name, make)


async def turn_page(
    first: Transport, transports: Sequence[Transport], owner: Tenant, name: str, make: Make
) -> None:
    """The token of a page over one transport leads to the same next page over each."""
    key = owner.keys["owner"]
    request: Any = make(owner.things)
    page: Any = (await first.call(name, request, key)).messages[0]
    assert page.next_page_token, name
    request.page_token = page.next_page_token
    seconds = [await transport.call(name, request, key) for transport in transports]
    assert [second.code for second in seconds] == ["OK"] * 3, name
    nexts: list[Any] = [second.messages[0] for second in seconds]
    for one in nexts:
        one.next_page_token = ""  # sealed each time in another way
    assert nexts[1:] == [nexts[0], nexts[0]], name
    assert nexts[0] != page, name
