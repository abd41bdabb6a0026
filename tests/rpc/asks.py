"""One request and more for every RPC, about things that belong to somebody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from google.protobuf.message import Message

from palimpsest.v1 import changes_pb2 as ch
from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.filter_pb2 import Filter, MatchCondition
from tests.client import Client, struct

SECRET: Final = "the lighthouse keeper's name"
"""Stands in everything the owner wrote; no stranger may ever see it."""

REQUEST_ID: Final = "00000000-0000-4000-8000-000000000001"
MESSAGE: Final = d.ConversationMessage(text="mine")


@dataclass(frozen=True)
class Things:
    """Names of what the owner has, in the containers `default` and `vault`."""

    document: str
    custom_id: str
    memory: str
    superseded: str
    forgotten: str
    batch: str
    document_etag: str
    memory_etag: str
    tokens: dict[str, str]

    def gone(self) -> Things:
        """Names of the same form that nobody has."""

        def other(name: str) -> str:
            return name[:-3] + "zzz"

        return replace(
            self,
            document=other(self.document),
            custom_id=other(self.custom_id),
            memory=other(self.memory),
            superseded=other(self.superseded),
            forgotten=other(self.forgotten),
            batch=other(self.batch),
        )


async def furnish(client: Client) -> Things:
    """Makes the things."""
    note = await client.put(
        SECRET,
        custom_id="note",
        container_tags=["default", "vault"],
        title=SECRET,
        metadata={"k": SECRET},
        request_id=REQUEST_ID,
    )
    await client.put(SECRET, custom_id=TWIN, container_tags=["vault"])
    await client.put(SECRET, custom_id=TWIN, container_tags=["default"])
    first, second, third = await client.remember(SECRET, "other", "third")
    updated = await client.memories.UpdateMemory(
        m.UpdateMemoryRequest(id=first.id, new_content=f"{SECRET}, still")
    )
    await client.memories.ForgetMemory(m.ForgetMemoryRequest(id=second.id, reason=SECRET))
    batch = await client.memories.ForgetMemories(m.ForgetMemoriesRequest(ids=[third.id]))
    await client.remember(SECRET, container="vault")
    await client.remember(f"{SECRET} again")
    documents = await client.documents.ListDocuments(d.ListDocumentsRequest(page_size=1))
    memories = await client.memories.ListMemories(m.ListMemoriesRequest(page_size=1))
    versions = await client.memories.ListMemoryVersions(
        m.ListMemoryVersionsRequest(id=first.id, page_size=1)
    )
    containers = await client.containers.ListContainers(c.ListContainersRequest(page_size=1))
    return Things(
        document=note.id,
        custom_id="note",
        memory=updated.receipt.id,
        superseded=first.id,
        forgotten=second.id,
        batch=batch.forget_batch_id,
        document_etag=note.etag,
        memory_etag=updated.receipt.etag,
        tokens={
            "ListDocuments": documents.next_page_token,
            "ListMemories": memories.next_page_token,
            "ListMemoryVersions": versions.next_page_token,
            "ListContainers": containers.next_page_token,
        },
    )


Asks = Callable[[Things], list[tuple[Message, str]]]
"""Requests, each with what a key limited to the container `elsewhere` is told."""

TWIN: Final = "twin"
"""A custom id that two documents have, in two containers."""

NOT_ALLOWED: Final = "CONTAINER_NOT_ALLOWED"
NO_DOCUMENT: Final = "DOCUMENT_NOT_FOUND"
TOKEN: Final = "INVALID_PAGE_TOKEN"
OK: Final = "OK"

OF_CALLS: Final = [
    kind
    for kind in ch.ChangeKind.values()
    if kind not in {0, ch.CHANGE_KIND_DOCUMENT_PROCESSED, ch.CHANGE_KIND_DOCUMENT_FAILED}
]
"""Kinds of changes that come in the order of the calls."""

ASKS: Final[dict[str, Asks]] = {
    "Documents.UpsertDocument": lambda t: [
        (d.UpsertDocumentRequest(content="mine", custom_id=t.custom_id), NOT_ALLOWED),
        (d.UpsertDocumentRequest(content="mine", custom_id=TWIN), NOT_ALLOWED),
        (
            d.UpsertDocumentRequest(
                content="mine",
                custom_id=t.custom_id,
                container_tags=["elsewhere"],
                mode=d.UPSERT_MODE_UPDATE_ONLY,
            ),
            NO_DOCUMENT,
        ),
        (d.UpsertDocumentRequest(content="x", container_tags=["vault"]), NOT_ALLOWED),
        (d.UpsertDocumentRequest(content="mine", request_id=REQUEST_ID), "REQUEST_ID_REUSED"),
        (
            d.UpsertDocumentRequest(content="x", custom_id="new", etag=t.document_etag),
            NOT_ALLOWED,
        ),
    ],
    "Documents.BatchUpsertDocuments": lambda t: [
        (
            d.BatchUpsertDocumentsRequest(items=[d.UpsertDocumentRequest(content="x")]),
            OK,
        ),  # its outcome is none
        (
            d.BatchUpsertDocumentsRequest(
                items=[d.UpsertDocumentRequest(content="x", container_tags=["elsewhere", "vault"])]
            ),
            NOT_ALLOWED,
        ),
    ],
    "Documents.GetDocument": lambda t: [
        (d.GetDocumentRequest(id=t.document), NO_DOCUMENT),
        (d.GetDocumentRequest(id=t.custom_id), NO_DOCUMENT),
        (d.GetDocumentRequest(id=TWIN), NO_DOCUMENT),
        (d.GetDocumentRequest(id=TWIN, container_tag="vault"), NOT_ALLOWED),
        (d.GetDocumentRequest(id=TWIN, container_tag="elsewhere"), NO_DOCUMENT),
        (d.GetDocumentRequest(id=t.document, container_tag="elsewhere"), NO_DOCUMENT),
    ],
    "Documents.ListDocuments": lambda t: [
        (d.ListDocumentsRequest(), OK),
        (d.ListDocumentsRequest(container_tags=["vault"]), NOT_ALLOWED),
        (d.ListDocumentsRequest(custom_id_prefix=t.custom_id, include_content=True), OK),
        (d.ListDocumentsRequest(page_size=1, page_token=t.tokens["ListDocuments"]), TOKEN),
    ],
    "Documents.UpdateDocument": lambda t: [
        (d.UpdateDocumentRequest(id=t.document, title="mine"), NO_DOCUMENT),
        (d.UpdateDocumentRequest(id=t.custom_id, metadata=struct({"a": 1})), NO_DOCUMENT),
        (d.UpdateDocumentRequest(id=t.document, etag=t.document_etag), NO_DOCUMENT),
        (d.UpdateDocumentRequest(id=t.document, container_tags=["vault"]), NOT_ALLOWED),
        (d.UpdateDocumentRequest(id=TWIN, title="mine"), NO_DOCUMENT),
        (d.UpdateDocumentRequest(id=TWIN, title="mine", container_tag="vault"), NOT_ALLOWED),
    ],
    "Documents.DeleteDocument": lambda t: [
        (d.DeleteDocumentRequest(id=t.document), NO_DOCUMENT),
        (d.DeleteDocumentRequest(id=t.custom_id, allow_missing=True), OK),
        (d.DeleteDocumentRequest(id=t.document, etag=t.document_etag), NO_DOCUMENT),
        (d.DeleteDocumentRequest(id=TWIN), NO_DOCUMENT),
        (d.DeleteDocumentRequest(id=TWIN, container_tag="vault"), NOT_ALLOWED),
    ],
    "Documents.BulkDeleteDocuments": lambda t: [
        (d.BulkDeleteDocumentsRequest(ids=[t.document, t.custom_id, TWIN]), OK),
        (d.BulkDeleteDocumentsRequest(ids=[t.document], validate_only=True), OK),
        (d.BulkDeleteDocumentsRequest(container_tags=["default", "vault"]), NOT_ALLOWED),
        (d.BulkDeleteDocumentsRequest(container_tags=["vault"], validate_only=True), NOT_ALLOWED),
    ],
    "Documents.AppendMessages": lambda t: [
        (d.AppendMessagesRequest(id=t.document, messages=[MESSAGE]), NO_DOCUMENT),
        (d.AppendMessagesRequest(id=t.custom_id, messages=[MESSAGE]), NO_DOCUMENT),
        (
            d.AppendMessagesRequest(id=t.custom_id, messages=[MESSAGE], create_if_missing=True),
            NOT_ALLOWED,
        ),
        (d.AppendMessagesRequest(id=TWIN, messages=[MESSAGE]), NO_DOCUMENT),
        (
            d.AppendMessagesRequest(id=TWIN, messages=[MESSAGE], container_tag="vault"),
            NOT_ALLOWED,
        ),
        (
            d.AppendMessagesRequest(id=t.document, messages=[MESSAGE], container_tags=["vault"]),
            NOT_ALLOWED,
        ),
    ],
    "Documents.SearchDocuments": lambda t: [
        (d.SearchDocumentsRequest(query=SECRET), OK),
        (d.SearchDocumentsRequest(query=SECRET, container_tags=["vault"]), NOT_ALLOWED),
        (d.SearchDocumentsRequest(query=SECRET, container_tags=["elsewhere"]), OK),
    ],
    "Documents.ListChunks": lambda t: [
        (d.ListChunksRequest(id=t.document), NO_DOCUMENT),
        (d.ListChunksRequest(id=t.custom_id, page_size=1), NO_DOCUMENT),
        (d.ListChunksRequest(id=TWIN), NO_DOCUMENT),
        (d.ListChunksRequest(id=TWIN, container_tag="vault"), NOT_ALLOWED),
    ],
    "Documents.WatchDocument": lambda t: [
        (d.WatchDocumentRequest(id=t.document), NO_DOCUMENT),
        (d.WatchDocumentRequest(id=t.custom_id), NO_DOCUMENT),
        (d.WatchDocumentRequest(id=TWIN), NO_DOCUMENT),
        (d.WatchDocumentRequest(id=TWIN, container_tag="vault"), NOT_ALLOWED),
    ],
    "Memories.CreateMemories": lambda t: [
        (
            m.CreateMemoriesRequest(
                memories=[m.NewMemory(content="x", source_document_id=t.document)],
                container_tag="elsewhere",
            ),
            NO_DOCUMENT,
        ),
        (m.CreateMemoriesRequest(memories=[m.NewMemory(content=SECRET)]), NOT_ALLOWED),
        (
            m.CreateMemoriesRequest(memories=[m.NewMemory(content="x")], request_id=REQUEST_ID),
            NOT_ALLOWED,
        ),
    ],
    "Memories.GetMemory": lambda t: [
        (m.GetMemoryRequest(id=t.memory), NOT_ALLOWED),
        (m.GetMemoryRequest(id=t.superseded), NOT_ALLOWED),
        (m.GetMemoryRequest(id=t.memory, container_tag="elsewhere"), "MEMORY_NOT_FOUND"),
    ],
    "Memories.ListMemories": lambda t: [
        (m.ListMemoriesRequest(include_forgotten=True, include_history=True), OK),
        (m.ListMemoriesRequest(container_tags=["default", "vault"]), NOT_ALLOWED),
        (m.ListMemoriesRequest(page_size=1, page_token=t.tokens["ListMemories"]), TOKEN),
        (m.ListMemoriesRequest(container_tags=["elsewhere"]), OK),
        (
            m.ListMemoriesRequest(container_tags=["elsewhere"], source_document_id=t.document),
            OK,
        ),
    ],
    "Memories.ListMemoryVersions": lambda t: [
        (m.ListMemoryVersionsRequest(id=t.memory), NOT_ALLOWED),
        (
            m.ListMemoryVersionsRequest(
                id=t.superseded, page_size=1, page_token=t.tokens["ListMemoryVersions"]
            ),
            NOT_ALLOWED,
        ),
        (
            m.ListMemoryVersionsRequest(id=t.memory, container_tag="elsewhere"),
            "MEMORY_NOT_FOUND",
        ),
    ],
    "Memories.UpdateMemory": lambda t: [
        (m.UpdateMemoryRequest(id=t.memory, new_content="mine"), NOT_ALLOWED),
        (m.UpdateMemoryRequest(id=t.superseded, new_content="mine"), NOT_ALLOWED),
        (m.UpdateMemoryRequest(content=f"{SECRET} again", new_content="mine"), NOT_ALLOWED),
        (
            m.UpdateMemoryRequest(id=t.memory, new_content="x", container_tag="elsewhere"),
            "MEMORY_NOT_FOUND",
        ),
        (m.UpdateMemoryRequest(id=t.memory, new_content="x", etag=t.memory_etag), NOT_ALLOWED),
    ],
    "Memories.ForgetMemory": lambda t: [
        (m.ForgetMemoryRequest(id=t.memory), NOT_ALLOWED),
        (m.ForgetMemoryRequest(id=t.forgotten), NOT_ALLOWED),
        (m.ForgetMemoryRequest(content=f"{SECRET} again"), NOT_ALLOWED),
        (
            m.ForgetMemoryRequest(content=f"{SECRET} again", container_tag="elsewhere"),
            "MEMORY_NOT_FOUND",
        ),
    ],
    "Memories.RestoreMemory": lambda t: [
        (m.RestoreMemoryRequest(id=t.forgotten), NOT_ALLOWED),
        (m.RestoreMemoryRequest(id=t.memory), NOT_ALLOWED),
        (m.RestoreMemoryRequest(id=t.forgotten, container_tag="elsewhere"), "MEMORY_NOT_FOUND"),
    ],
    "Memories.ForgetMemories": lambda t: [
        (m.ForgetMemoriesRequest(ids=[t.memory, t.forgotten]), NOT_ALLOWED),
        (m.ForgetMemoriesRequest(ids=[t.memory], validate_only=True), NOT_ALLOWED),
        (
            m.ForgetMemoriesRequest(ids=[t.memory], container_tag="elsewhere"),
            "MEMORY_NOT_FOUND",
        ),
        (
            m.ForgetMemoriesRequest(filter=Filter(match=MatchCondition(key="k", negate=True))),
            NOT_ALLOWED,
        ),
        (m.ForgetMemoriesRequest(query=SECRET, min_score=0.1), NOT_ALLOWED),
    ],
    "Memories.SearchMemories": lambda t: [
        (m.SearchMemoriesRequest(query=SECRET, include_forgotten=True), OK),
        (m.SearchMemoriesRequest(query=SECRET, container_tags=["vault"]), NOT_ALLOWED),
        (
            m.SearchMemoriesRequest(
                query=SECRET,
                container_tags=["elsewhere"],
                include_chunks=True,
                include_documents=True,
            ),
            OK,
        ),
    ],
    "Memories.GetProfile": lambda t: [
        (m.GetProfileRequest(query=SECRET), NOT_ALLOWED),
        (m.GetProfileRequest(query=SECRET, container_tag="elsewhere"), OK),
    ],
    "Memories.RestoreMemories": lambda t: [
        (m.RestoreMemoriesRequest(forget_batch_id=t.batch), NOT_ALLOWED),
        (
            m.RestoreMemoriesRequest(forget_batch_id=t.batch, container_tag="elsewhere"),
            "FORGET_BATCH_NOT_FOUND",
        ),
    ],
    "Memories.DeleteMemory": lambda t: [
        (m.DeleteMemoryRequest(id=t.memory), NOT_ALLOWED),
        (m.DeleteMemoryRequest(id=t.superseded, allow_missing=True), NOT_ALLOWED),
        (m.DeleteMemoryRequest(id=t.memory, container_tag="elsewhere"), "MEMORY_NOT_FOUND"),
    ],
    "Containers.ListContainers": lambda t: [
        (c.ListContainersRequest(), OK),
        (c.ListContainersRequest(prefix="v"), OK),
        (c.ListContainersRequest(page_size=1, page_token=t.tokens["ListContainers"]), TOKEN),
    ],
    "Containers.DeleteContainer": lambda t: [
        (c.DeleteContainerRequest(container_tag="vault"), NOT_ALLOWED),
        (c.DeleteContainerRequest(container_tag="vault", validate_only=True), NOT_ALLOWED),
        (c.DeleteContainerRequest(container_tag="vault", allow_missing=True), NOT_ALLOWED),
    ],
    "Changes.ListChanges": lambda t: [
        (ch.ListChangesRequest(kinds=OF_CALLS), OK),
        (ch.ListChangesRequest(kinds=[ch.CHANGE_KIND_DOCUMENT_CREATED]), OK),
        (ch.ListChangesRequest(kinds=OF_CALLS, container_tags=["elsewhere"]), OK),
        (ch.ListChangesRequest(kinds=OF_CALLS, container_tags=["vault"]), NOT_ALLOWED),
    ],
    "Changes.WatchChanges": lambda t: [
        (ch.WatchChangesRequest(after_revision=0, kinds=OF_CALLS), OK),
        (ch.WatchChangesRequest(kinds=OF_CALLS), OK),
        (
            ch.WatchChangesRequest(after_revision=0, kinds=OF_CALLS, container_tags=["elsewhere"]),
            OK,
        ),
        (ch.WatchChangesRequest(container_tags=["vault"]), NOT_ALLOWED),
    ],
}
"""By service and name of the RPC. One that is missing here fails the tests of strangers."""
