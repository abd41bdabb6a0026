"""Keys: what a limited one sees, and what it may not do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc
import pytest
from grpc import StatusCode

from palimpsest.v1.containers_pb2 import DeleteContainerRequest, ListContainersRequest
from palimpsest.v1.documents_pb2 import (
    BatchUpsertDocumentsRequest,
    BulkDeleteDocumentsRequest,
    DeleteDocumentRequest,
    GetDocumentRequest,
    ListDocumentsRequest,
    UpdateDocumentRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.memories_pb2 import (
    CreateMemoriesRequest,
    ListMemoriesRequest,
    NewMemory,
)
from tests.client import Client, refused
from tests.rpc.conftest import Connect

DENIED = StatusCode.PERMISSION_DENIED


async def test_a_limited_key_sees_a_shared_document_with_its_own_containers_alone(
    client: Client, connect: Connect
) -> None:
    shared = await client.put(custom_id="shared", container_tags=["a", "b"])
    hidden = await client.put(custom_id="hidden", container_tags=["b"])

    async with connect(containers=["a"]) as limited:
        assert (await limited.get("shared")).container_tags == ["a"]
        assert await limited.ids() == [shared.id]
        (listed,) = [item async for page in limited.pages() for item in page]
        assert listed.container_tags == ["a"]
        for name in ("hidden", hidden.id):
            with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
                await limited.get(name)
        containers = await limited.containers.ListContainers(ListContainersRequest())
        assert [c.container_tag for c in containers.containers] == ["a"]


async def test_matching_all_of_no_containers_lists_all_that_a_limited_key_sees(
    client: Client, connect: Connect
) -> None:
    made = await client.put(container_tags=["a"])

    async with connect(containers=["a", "b"]) as limited:
        assert await limited.ids(match_all_containers=True) == [made.id]


async def test_writing_or_deleting_a_document_needs_all_its_containers(
    client: Client, connect: Connect
) -> None:
    made = await client.put("text", custom_id="shared", container_tags=["a", "b"])

    async with connect(containers=["a"]) as limited:
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.documents.UpdateDocument(UpdateDocumentRequest(id=made.id, title="T"))
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.documents.DeleteDocument(DeleteDocumentRequest(id=made.id))
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.put("other", custom_id="shared", container_tags=["a"])
        answer = await limited.documents.BulkDeleteDocuments(
            BulkDeleteDocumentsRequest(ids=[made.id])
        )
        assert [error.error.reason for error in answer.errors] == ["CONTAINER_NOT_ALLOWED"]
    async with connect(containers=["a", "b", "c"]) as wider:
        await wider.documents.UpdateDocument(UpdateDocumentRequest(id=made.id, title="T"))

    assert (await client.get(made.id)).title == "T"


async def test_a_limited_key_may_not_name_another_container(
    client: Client, connect: Connect
) -> None:
    mine = await client.put(container_tags=["a"])
    await client.put(container_tags=["b"])

    async with connect(containers=["a"]) as limited:
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.put(container_tags=["a", "b"])
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.put("no container named means the default one")
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.documents.UpdateDocument(
                UpdateDocumentRequest(id=mine.id, container_tags=["b"])
            )
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.documents.ListDocuments(ListDocumentsRequest(container_tags=["b"]))
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.documents.BulkDeleteDocuments(
                BulkDeleteDocumentsRequest(container_tags=["a", "b"])
            )
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.containers.DeleteContainer(DeleteContainerRequest(container_tag="b"))
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.remember("x", container="b")
        with refused(DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.memories.ListMemories(ListMemoriesRequest(container_tags=["b"]))

    assert len(await client.ids()) == 2


async def test_a_custom_id_in_a_hidden_container_is_free_in_ones_own(
    client: Client, connect: Connect
) -> None:
    made = await client.put("Ann's", custom_id="note", container_tags=["secret-project"])

    async with connect(containers=["a"]) as limited:
        mine = await limited.put("Bob's", custom_id="note", container_tags=["a"])
        assert mine.created
        assert (await limited.get("note")).id == mine.id

    assert (await client.get(made.id)).content == "Ann's"


async def test_a_read_only_key_reads_everything_and_writes_nothing(
    client: Client, connect: Connect
) -> None:
    made = await client.put("text")
    (memory,) = await client.remember("x")

    async with connect(read_only=True) as reader:
        assert (await reader.get(made.id)).content == "text"
        assert (await reader.memory(memory.id)).content == "x"
        item = UpsertDocumentRequest(content="x")
        writes: list[Callable[[], Awaitable[object]]] = [
            lambda: reader.put("x"),
            lambda: reader.documents.BatchUpsertDocuments(
                BatchUpsertDocumentsRequest(items=[item])
            ),
            lambda: reader.documents.DeleteDocument(DeleteDocumentRequest(id=made.id)),
            lambda: reader.documents.BulkDeleteDocuments(BulkDeleteDocumentsRequest(ids=[made.id])),
            lambda: reader.remember("x"),
            lambda: reader.containers.DeleteContainer(
                DeleteContainerRequest(container_tag="default")
            ),
        ]
        for write in writes:
            with refused(DENIED, "KEY_READ_ONLY"):
                await write()

    assert await client.ids() == [made.id]


async def test_a_call_without_permission_is_refused_before_it_is_validated(
    client: Client, connect: Connect
) -> None:
    async with connect(read_only=True) as reader:
        with refused(DENIED, "KEY_READ_ONLY"):
            await reader.put("")
    async with connect(key=None) as anonymous:
        with refused(StatusCode.UNAUTHENTICATED, "KEY_MISSING"):
            await anonymous.put("")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "nonsense"])
async def test_an_authorization_that_is_not_a_bearer_key_is_refused(
    client: Client, connect: Connect, header: str
) -> None:
    async with connect(key=None) as anonymous:
        with pytest.raises(grpc.RpcError) as failed:
            await anonymous.documents.GetDocument(
                GetDocumentRequest(id="x"), metadata=[("authorization", header)]
            )

    assert failed.value.code() is StatusCode.UNAUTHENTICATED


async def test_tenants_share_nothing(client: Client, connect: Connect) -> None:
    ours = await client.put("ours", custom_id="note")
    (memory,) = await client.remember("ours")
    token = None
    async with connect(tenant="other") as other:
        theirs = await other.put("theirs", custom_id="note")
        assert theirs.created
        assert theirs.revision == 1
        assert await other.ids() == [theirs.id]
        assert await other.remembered() == []
        with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
            await other.get(ours.id)
        with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
            await other.memory(memory.id)
        with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
            await other.memories.CreateMemories(
                CreateMemoriesRequest(memories=[NewMemory(content="x", source_document_id=ours.id)])
            )
        answer = await other.documents.BulkDeleteDocuments(
            BulkDeleteDocumentsRequest(container_tags=["default"])
        )
        assert answer.deleted_count == 1
        await client.put("more")
        page = await client.documents.ListDocuments(ListDocumentsRequest(page_size=1))
        token = page.next_page_token
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
            await other.documents.ListDocuments(ListDocumentsRequest(page_size=1, page_token=token))

    assert (await client.get("note")).content == "ours"
