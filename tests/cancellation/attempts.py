"""Calls of every kind, each about things of its own, and what each would change."""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from palimpsest.v1 import changes_pb2 as ch
from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as mem
from service.core import model as m
from service.rpc.contract import SERVICES
from service.storage.store import SqlStore

THINGS = 3
"""Documents, or memories, that a call of several is about."""

ENDLESS = frozenset({"WatchChanges"})
"""Streams that go on until their callers end them."""

METHODS: dict[str, MethodDescriptor] = {
    method.name: method for service in SERVICES for method in service.methods
}


@dataclass
class Attempt:
    """A call to be cancelled.

    `changes` is how many changes its whole effect is; None for a call that only
    reads. The effect of one in `steps` may stop between two transactions, and is
    gone on with by its request_id.
    """

    method: str
    request: Any
    changes: int | None = None
    steps: bool = False
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    answer: Message | None = None

    def __post_init__(self) -> None:
        if self.changes is not None:
            self.request.request_id = self.request_id


Build = Callable[["Factory", str], Awaitable[Attempt]]


class Factory:
    """Makes attempts, with what they are about already there."""

    def __init__(self, store: SqlStore, principal: m.Principal, seed: int) -> None:
        self._store = store
        self._who = principal
        self._random = random.Random(seed)
        self._made = 0

    async def attempt(self) -> Attempt:
        name = self._random.choice(sorted(BUILDS))
        self._made += 1
        return await BUILDS[name](self, f"box{self._made}")

    async def documents(self, box: str) -> list[str]:
        receipt = await self._store.documents.batch_upsert(
            self._who,
            [m.DocumentWrite(f"text {i}", f"{box}-{i}", (box,)) for i in range(THINGS)],
            None,
        )
        return [one.id for one in receipt.outcomes if isinstance(one, m.DocumentReceipt)]

    async def memories(self, box: str) -> list[str]:
        create = m.MemoryCreate(box, tuple(m.NewMemory(f"memory {i}") for i in range(THINGS)))
        receipt = await self._store.memories.create(self._who, create, None)
        return [one.id for one in receipt.receipts]

    async def forgotten(self, box: str) -> m.ForgetManyReceipt:
        forget = m.MemoryForgetMany(box, tuple(await self.memories(box)))
        return await self._store.memories.forget_many(self._who, forget, None, validate_only=False)


async def _upsert(_: Factory, box: str) -> Attempt:
    return Attempt(
        "UpsertDocument",
        d.UpsertDocumentRequest(content="text", custom_id=box, container_tags=[box]),
        changes=1,
    )


async def _batch_upsert(_: Factory, box: str) -> Attempt:
    items = [
        d.UpsertDocumentRequest(content=f"text {i}", custom_id=f"{box}-{i}", container_tags=[box])
        for i in range(THINGS)
    ]
    request = d.BatchUpsertDocumentsRequest(items=items)
    return Attempt("BatchUpsertDocuments", request, changes=THINGS)


async def _get_document(factory: Factory, box: str) -> Attempt:
    ids = await factory.documents(box)
    return Attempt("GetDocument", d.GetDocumentRequest(id=ids[0]))


async def _list_documents(factory: Factory, box: str) -> Attempt:
    await factory.documents(box)
    request = d.ListDocumentsRequest(container_tags=[box], include_content=True)
    return Attempt("ListDocuments", request)


async def _list_chunks(factory: Factory, box: str) -> Attempt:
    ids = await factory.documents(box)
    return Attempt("ListChunks", d.ListChunksRequest(id=ids[0]))


async def _update_document(factory: Factory, box: str) -> Attempt:
    ids = await factory.documents(box)
    request = d.UpdateDocumentRequest(id=ids[0], content="other text")
    return Attempt("UpdateDocument", request, changes=1)


async def _delete_document(factory: Factory, box: str) -> Attempt:
    ids = await factory.documents(box)
    return Attempt("DeleteDocument", d.DeleteDocumentRequest(id=ids[0]), changes=1)


async def _bulk_delete_ids(factory: Factory, box: str) -> Attempt:
    request = d.BulkDeleteDocumentsRequest(ids=await factory.documents(box))
    return Attempt("BulkDeleteDocuments", request, changes=THINGS)


async def _bulk_delete_containers(factory: Factory, box: str) -> Attempt:
    await factory.documents(box)
    request = d.BulkDeleteDocumentsRequest(container_tags=[box])
    return Attempt("BulkDeleteDocuments", request, changes=THINGS, steps=True)


async def _watch_document(factory: Factory, box: str) -> Attempt:
    ids = await factory.documents(box)
    return Attempt("WatchDocument", d.WatchDocumentRequest(id=ids[0]))


async def _create_memories(_: Factory, box: str) -> Attempt:
    new = [mem.NewMemory(content=f"memory {i}") for i in range(THINGS)]
    request = mem.CreateMemoriesRequest(container_tag=box, memories=new)
    return Attempt("CreateMemories", request, changes=THINGS)


async def _get_memory(factory: Factory, box: str) -> Attempt:
    ids = await factory.memories(box)
    return Attempt("GetMemory", mem.GetMemoryRequest(container_tag=box, id=ids[0]))


async def _list_memories(factory: Factory, box: str) -> Attempt:
    await factory.memories(box)
    return Attempt("ListMemories", mem.ListMemoriesRequest(container_tags=[box]))


async def _list_versions(factory: Factory, box: str) -> Attempt:
    ids = await factory.memories(box)
    return Attempt(
        "ListMemoryVersions", mem.ListMemoryVersionsRequest(container_tag=box, id=ids[0])
    )


async def _update_memory(factory: Factory, box: str) -> Attempt:
    ids = await factory.memories(box)
    request = mem.UpdateMemoryRequest(container_tag=box, id=ids[0], new_content="other")
    return Attempt("UpdateMemory", request, changes=1)


async def _forget_memory(factory: Factory, box: str) -> Attempt:
    ids = await factory.memories(box)
    request = mem.ForgetMemoryRequest(container_tag=box, id=ids[0], reason="why")
    return Attempt("ForgetMemory", request, changes=1)


async def _restore_memory(factory: Factory, box: str) -> Attempt:
    forgotten = await factory.forgotten(box)
    request = mem.RestoreMemoryRequest(container_tag=box, id=forgotten.ids[0])
    return Attempt("RestoreMemory", request, changes=1)


async def _forget_memories(factory: Factory, box: str) -> Attempt:
    request = mem.ForgetMemoriesRequest(container_tag=box, ids=await factory.memories(box))
    return Attempt("ForgetMemories", request, changes=THINGS)


async def _restore_memories(factory: Factory, box: str) -> Attempt:
    forgotten = await factory.forgotten(box)
    request = mem.RestoreMemoriesRequest(
        container_tag=box, forget_batch_id=forgotten.forget_batch_id
    )
    return Attempt("RestoreMemories", request, changes=THINGS)


async def _delete_memory(factory: Factory, box: str) -> Attempt:
    ids = await factory.memories(box)
    request = mem.DeleteMemoryRequest(container_tag=box, id=ids[0])
    return Attempt("DeleteMemory", request, changes=1)


async def _append_messages(_: Factory, box: str) -> Attempt:
    request = d.AppendMessagesRequest(
        id=box,
        create_if_missing=True,
        container_tags=[box],
        messages=[d.ConversationMessage(text="hello")],
    )
    return Attempt("AppendMessages", request, changes=1)


async def _search_documents(_: Factory, box: str) -> Attempt:
    return Attempt("SearchDocuments", d.SearchDocumentsRequest(query="text", container_tags=[box]))


async def _search_memories(factory: Factory, box: str) -> Attempt:
    await factory.memories(box)
    request = mem.SearchMemoriesRequest(query="memory", container_tags=[box])
    return Attempt("SearchMemories", request)


async def _get_profile(factory: Factory, box: str) -> Attempt:
    await factory.memories(box)
    return Attempt("GetProfile", mem.GetProfileRequest(container_tag=box, query="memory"))


async def _list_containers(_: Factory, box: str) -> Attempt:
    return Attempt("ListContainers", c.ListContainersRequest(page_size=200))


async def _list_changes(_: Factory, box: str) -> Attempt:
    return Attempt("ListChanges", ch.ListChangesRequest(container_tags=[box], page_size=200))


async def _watch_changes(factory: Factory, box: str) -> Attempt:
    await factory.memories(box)
    return Attempt("WatchChanges", ch.WatchChangesRequest(after_revision=0, container_tags=[box]))


async def _delete_container(factory: Factory, box: str) -> Attempt:
    await factory.documents(box)
    await factory.memories(box)
    request = c.DeleteContainerRequest(container_tag=box)
    return Attempt("DeleteContainer", request, changes=2 * THINGS + 1, steps=True)


BUILDS: dict[str, Build] = {
    "UpsertDocument": _upsert,
    "BatchUpsertDocuments": _batch_upsert,
    "GetDocument": _get_document,
    "ListDocuments": _list_documents,
    "ListChunks": _list_chunks,
    "UpdateDocument": _update_document,
    "DeleteDocument": _delete_document,
    "BulkDeleteDocuments": _bulk_delete_ids,
    "BulkDeleteDocuments of containers": _bulk_delete_containers,
    "WatchDocument": _watch_document,
    "AppendMessages": _append_messages,
    "SearchDocuments": _search_documents,
    "SearchMemories": _search_memories,
    "GetProfile": _get_profile,
    "CreateMemories": _create_memories,
    "GetMemory": _get_memory,
    "ListMemories": _list_memories,
    "ListMemoryVersions": _list_versions,
    "UpdateMemory": _update_memory,
    "ForgetMemory": _forget_memory,
    "RestoreMemory": _restore_memory,
    "ForgetMemories": _forget_memories,
    "RestoreMemories": _restore_memories,
    "DeleteMemory": _delete_memory,
    "ListContainers": _list_containers,
    "DeleteContainer": _delete_container,
    "ListChanges": _list_changes,
    "WatchChanges": _watch_changes,
}
