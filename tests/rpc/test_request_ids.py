"""request_id: a retry is answered with the first receipt and has no second effect."""

from __future__ import annotations

import asyncio
import uuid

from grpc import StatusCode

from palimpsest.v1.documents_pb2 import (
    BatchUpsertDocumentsRequest,
    BulkDeleteDocumentsRequest,
    DeleteDocumentRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.memories_pb2 import (
    CreateMemoriesRequest,
    ForgetMemoriesRequest,
    ForgetMemoryRequest,
    NewMemory,
    UpdateMemoryRequest,
)
from tests.client import Client, refused
from tests.rpc.conftest import Connect


def new_id() -> str:
    return str(uuid.uuid4())


async def test_a_repeated_upsert_answers_the_first_receipt_and_creates_nothing(
    client: Client,
) -> None:
    request_id = new_id()
    first = await client.put("text", request_id=request_id)
    await client.put("something in between")
    again = await client.put("text", request_id=request_id)

    assert again == first
    assert len(await client.ids()) == 2


async def test_a_repetition_is_recognised_after_the_thing_is_gone(client: Client) -> None:
    request_id = new_id()
    first = await client.put("text", request_id=request_id)
    await client.documents.DeleteDocument(DeleteDocumentRequest(id=first.id))

    assert await client.put("text", request_id=request_id) == first
    assert await client.ids() == []


async def test_a_repeated_delete_is_ok_and_a_new_one_is_not_found(client: Client) -> None:
    made = await client.put()
    request = DeleteDocumentRequest(id=made.id, request_id=new_id())
    first = await client.documents.DeleteDocument(request)

    assert await client.documents.DeleteDocument(request) == first
    request.request_id = new_id()
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await client.documents.DeleteDocument(request)


async def test_one_id_for_two_requests_is_refused(client: Client) -> None:
    request_id = new_id()
    made = await client.put("text", request_id=request_id)

    with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await client.put("another text", request_id=request_id)
    with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await client.documents.DeleteDocument(
            DeleteDocumentRequest(id=made.id, request_id=request_id)
        )
    assert await client.ids() == [made.id]


async def test_concurrent_duplicates_have_one_effect_and_one_answer(client: Client) -> None:
    request_id = new_id()
    receipts = await asyncio.gather(*(client.put("text", request_id=request_id) for _ in range(20)))

    assert all(receipt == receipts[0] for receipt in receipts)
    assert await client.ids() == [receipts[0].id]


async def test_a_refused_call_is_judged_anew(client: Client) -> None:
    request = DeleteDocumentRequest(id="later", request_id=new_id())
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await client.documents.DeleteDocument(request)

    made = await client.put(custom_id="later")

    assert (await client.documents.DeleteDocument(request)).id == made.id


async def test_request_ids_of_two_tenants_never_meet(client: Client, connect: Connect) -> None:
    request_id = new_id()
    first = await client.put("text", request_id=request_id)
    async with connect(tenant="other") as other:
        theirs = await other.put("another text", request_id=request_id)

    assert theirs.created
    assert theirs.id != first.id


async def test_a_repeated_batch_answers_the_same_outcomes(client: Client) -> None:
    request = BatchUpsertDocumentsRequest(
        items=[
            UpsertDocumentRequest(content="one"),
            UpsertDocumentRequest(content="two", custom_id="c"),
        ],
        request_id=new_id(),
    )
    first = await client.documents.BatchUpsertDocuments(request)

    assert await client.documents.BatchUpsertDocuments(request) == first
    assert len(await client.ids()) == 2


async def test_a_repeated_bulk_delete_answers_the_first_counts(client: Client) -> None:
    made = await client.put()
    request = BulkDeleteDocumentsRequest(ids=[made.id, "nothing"], request_id=new_id())
    first = await client.documents.BulkDeleteDocuments(request)

    assert first.deleted_count == 1
    assert await client.documents.BulkDeleteDocuments(request) == first


async def test_repeated_memory_writes_answer_the_first_receipt(client: Client) -> None:
    create = CreateMemoriesRequest(memories=[NewMemory(content="tea")], request_id=new_id())
    created = await client.memories.CreateMemories(create)
    assert await client.memories.CreateMemories(create) == created
    first = created.receipts[0]

    update = UpdateMemoryRequest(id=first.id, new_content="coffee", request_id=new_id())
    updated = await client.memories.UpdateMemory(update)
    assert await client.memories.UpdateMemory(update) == updated

    forget = ForgetMemoryRequest(id=updated.receipt.id, request_id=new_id())
    forgotten = await client.memories.ForgetMemory(forget)
    assert await client.memories.ForgetMemory(forget) == forgotten

    versions = await client.remembered(include_history=True, include_forgotten=True)
    assert [memory.content for memory in versions] == ["coffee", "tea"]


async def test_a_repeated_mass_forget_answers_the_same_batch(client: Client) -> None:
    made = await client.remember("one", "two")
    request = ForgetMemoriesRequest(ids=[m.id for m in made], request_id=new_id())
    first = await client.memories.ForgetMemories(request)

    assert first.forget_batch_id
    assert await client.memories.ForgetMemories(request) == first
