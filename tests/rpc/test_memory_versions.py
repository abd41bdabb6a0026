"""Memories: creating, reading, and the chain of versions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from palimpsest.v1.common_pb2 import LIST_ORDER_CREATED_ASC
from palimpsest.v1.documents_pb2 import DeleteDocumentRequest
from palimpsest.v1.filter_pb2 import (
    FILTER_FIELD_CREATED,
    FILTER_FIELD_UPDATED,
    Condition,
    Filter,
    FilterField,
)
from palimpsest.v1.memories_pb2 import (
    DeleteMemoryRequest,
    ForgetMemoryRequest,
    ListMemoryVersionsRequest,
    Memory,
    MemoryReceipt,
    NewMemory,
    TemporalContext,
    TemporalContextUpdate,
    UpdateMemoryRequest,
)
from tests.client import Client, Refusal, read_refusal, refused, struct
from tests.inprocess import ManualClock
from tests.rpc.conftest import Connect

FAR = Timestamp(seconds=7_000_000_000)
PAST = Timestamp(seconds=1_000_000_000)


async def update(client: Client, new_content: str = "new", **fields: Any) -> MemoryReceipt:
    request = UpdateMemoryRequest(new_content=new_content, **fields)
    return (await client.memories.UpdateMemory(request)).receipt


async def versions(client: Client, memory_id: str, **fields: Any) -> list[Memory]:
    request = ListMemoryVersionsRequest(id=memory_id, **fields)
    return list((await client.memories.ListMemoryVersions(request)).memories)


async def test_a_memory_is_as_it_was_created(client: Client) -> None:
    source = await client.put("the source", custom_id="source")
    (receipt,) = await client.remember(
        NewMemory(
            content="Ann likes tea ☕",
            metadata=struct({"topic": "drinks", "gone": None, "n": 2}),
            is_static=True,
            forget_after=FAR,
            forget_reason="stale by then",
            temporal_context=TemporalContext(
                document_date="2026-05-08", event_dates=["2026-05-09", "2026-05-10T00:00:00Z"]
            ),
            source_document_id="source",
        ),
        container="ann",
    )

    memory = await client.memory(receipt.id, container_tag="ann")

    assert memory.id.startswith("mem_")
    assert memory.content == "Ann likes tea ☕"
    assert memory.metadata == struct({"topic": "drinks", "n": 2})
    assert (memory.version, memory.is_latest, memory.forgotten) == (1, True, False)
    assert (memory.root_memory_id, memory.parent_memory_id) == (memory.id, "")
    assert (memory.is_static, memory.container_tag) == (True, "ann")
    assert (memory.forget_after, memory.forget_reason) == (FAR, "stale by then")
    assert memory.temporal_context.document_date == "2026-05-08"
    assert memory.temporal_context.event_dates == ["2026-05-09", "2026-05-10T00:00:00Z"]
    assert memory.source_document_id == source.id
    assert (memory.etag, memory.create_time) == (receipt.etag, receipt.create_time)
    assert await client.remembered(container_tags=["ann"]) == [memory]


async def test_the_same_text_twice_is_two_memories(client: Client) -> None:
    made = await client.remember("tea", "tea")

    assert made[0].id != made[1].id
    assert len(await client.remembered()) == 2


async def test_creating_is_all_or_nothing(client: Client) -> None:
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await client.remember("good", NewMemory(content="bad", source_document_id="nothing"))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.remember("good", NewMemory(content=""))

    assert refusal.fields == ["memories[1].content"]
    assert await client.remembered(include_forgotten=True) == []


async def test_a_hundred_memories_at_once_and_no_more(client: Client) -> None:
    texts = [f"fact {n}" for n in range(100)]
    receipts = await client.remember(*texts)

    listed = await client.remembered(order=LIST_ORDER_CREATED_ASC, page_size=7)
    assert [memory.content for memory in listed] == texts
    assert [memory.id for memory in listed] == [receipt.id for receipt in receipts]
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.remember(*texts, "one too many")
    assert refusal.fields == ["memories"]


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (NewMemory(content="x" * 10_001), "memories[0].content"),
        (NewMemory(content="x", forget_after=PAST), "memories[0].forget_after"),
        (NewMemory(content="x", forget_reason="why"), "memories[0].forget_reason"),
        (NewMemory(content="x", metadata=struct({"a b": 1})), "memories[0].metadata.a b"),
        (
            NewMemory(content="x", temporal_context=TemporalContext(document_date="tomorrow")),
            "memories[0].temporal_context.document_date",
        ),
        (
            NewMemory(content="x", temporal_context=TemporalContext(event_dates=["2026-13-01"])),
            "memories[0].temporal_context.event_dates[0]",
        ),
    ],
    ids=["long content", "past", "reason alone", "metadata", "date", "event date"],
)
async def test_a_memory_that_breaks_a_rule_is_refused(
    client: Client, new: NewMemory, field: str
) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.remember(new)

    assert refusal.fields == [field]


async def test_ten_thousand_code_points_are_taken(client: Client) -> None:
    (receipt,) = await client.remember("👋" * 10_000)

    assert (await client.memory(receipt.id)).content == "👋" * 10_000


async def test_deleting_the_source_leaves_the_memory_and_clears_the_link(client: Client) -> None:
    source = await client.put()
    (receipt,) = await client.remember(NewMemory(content="x", source_document_id=source.id))
    await client.documents.DeleteDocument(DeleteDocumentRequest(id=source.id))

    assert (await client.memory(receipt.id)).source_document_id == ""


async def test_a_memory_of_another_container_is_not_found(client: Client) -> None:
    (made,) = await client.remember("secret", container="ann")

    for container in ("", "bob"):
        with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
            await client.memory(made.id, container_tag=container)
        with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
            await update(client, id=made.id, container_tag=container)
        with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
            await update(client, content="secret", container_tag=container)
        with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
            await versions(client, made.id, container_tag=container)


async def test_a_document_id_is_refused_where_a_memory_is_meant(client: Client) -> None:
    made = await client.put()

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.memory(made.id)

    assert refusal.fields == ["id"]
    assert "GetDocument" in refusal.message


async def test_every_update_adds_a_version_to_the_chain(client: Client) -> None:
    (first,) = await client.remember("one")
    second = await update(client, "two", id=first.id)
    third = await update(client, "three", content="two")

    chain = await versions(client, second.id)

    assert [memory.content for memory in chain] == ["three", "two", "one"]
    assert [memory.version for memory in chain] == [3, 2, 1]
    assert [memory.is_latest for memory in chain] == [True, False, False]
    assert [memory.parent_memory_id for memory in chain] == [second.id, first.id, ""]
    assert {memory.root_memory_id for memory in chain} == {first.id}
    assert [memory.id for memory in chain] == [third.id, second.id, first.id]
    assert chain == await versions(client, first.id)
    assert [memory.id for memory in await client.remembered()] == [third.id]
    history = await client.remembered(include_history=True)
    assert {memory.id for memory in history} == {first.id, second.id, third.id}


async def test_a_filter_takes_a_memorys_creation_from_its_first_version(
    client: Client, clock: ManualClock
) -> None:
    (first,) = await client.remember("one")
    between = clock.tick().ToJsonString()
    second = await update(client, "two", id=first.id)

    async def found(field: FilterField.ValueType) -> list[str]:
        condition = Condition(field=field, after=between)
        return [memory.id for memory in await client.remembered(filter=Filter(condition=condition))]

    assert await found(FILTER_FIELD_UPDATED) == [second.id]
    assert await found(FILTER_FIELD_CREATED) == []


async def test_an_update_touches_nothing_of_the_old_version_but_latest(client: Client) -> None:
    (made,) = await client.remember(
        NewMemory(content="one", metadata=struct({"a": 1}), forget_after=FAR, forget_reason="r")
    )
    before = await client.memory(made.id)
    await update(client, "two", id=made.id, metadata=struct({"b": 2}), clear_forget_after=True)

    after = await client.memory(made.id)

    assert not after.is_latest
    assert after.etag != before.etag
    after.is_latest, after.etag = before.is_latest, before.etag
    assert after == before


async def test_versions_come_in_pages(client: Client) -> None:
    (made,) = await client.remember("v1")
    for n in range(2, 6):
        await update(client, f"v{n}", content=f"v{n - 1}")
    request = ListMemoryVersionsRequest(id=made.id, page_size=2)
    seen: list[str] = []

    while True:
        page = await client.memories.ListMemoryVersions(request)
        seen.extend(memory.content for memory in page.memories)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token

    assert seen == ["v5", "v4", "v3", "v2", "v1"]


async def test_an_update_of_an_old_version_names_the_latest(client: Client) -> None:
    (first,) = await client.remember("one")
    second = await update(client, "two", id=first.id)
    third = await update(client, "three", id=second.id)

    for stale in (first.id, second.id):
        with refused(StatusCode.FAILED_PRECONDITION, "MEMORY_NOT_LATEST") as refusal:
            await update(client, "four", id=stale)
        assert refusal.info.metadata["latest_id"] == third.id
        with refused(StatusCode.FAILED_PRECONDITION, "MEMORY_NOT_LATEST"):
            await client.memories.ForgetMemory(ForgetMemoryRequest(id=stale))


async def test_content_finds_only_latest_remembered_memories(client: Client) -> None:
    (first,) = await client.remember("old text")
    second = await update(client, "new text", id=first.id)

    with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
        await update(client, content="old text")
    await client.memories.ForgetMemory(ForgetMemoryRequest(id=second.id))
    with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
        await update(client, content="new text")


async def test_content_is_compared_code_point_for_code_point(client: Client) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    made = await client.remember(composed, decomposed, "trailing ")

    assert (await update(client, content=composed)).parent_memory_id == made[0].id
    assert (await update(client, content=decomposed)).parent_memory_id == made[1].id
    with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
        await update(client, content="trailing")


async def test_several_memories_of_one_content_are_ambiguous(client: Client) -> None:
    made = await client.remember("tea", "tea", "coffee")

    with refused(StatusCode.FAILED_PRECONDITION, "AMBIGUOUS_CONTENT") as refusal:
        await update(client, content="tea")

    assert set(refusal.info.metadata["ids"].split(",")) == {made[0].id, made[1].id}
    assert (await update(client, id=made[1].id, content="tea")).parent_memory_id == made[1].id


async def test_id_and_content_must_agree(client: Client) -> None:
    (made,) = await client.remember("tea")

    with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_MISMATCH"):
        await update(client, id=made.id, content="coffee")
    assert (await update(client, id=made.id, content="tea")).version == 2


async def test_an_update_without_a_target_is_refused(client: Client) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await update(client)


async def test_a_forgotten_memory_is_not_updated(client: Client) -> None:
    (made,) = await client.remember("tea")
    await client.memories.ForgetMemory(ForgetMemoryRequest(id=made.id))

    with refused(StatusCode.FAILED_PRECONDITION, "MEMORY_FORGOTTEN"):
        await update(client, id=made.id)


async def test_of_many_concurrent_updates_one_wins_and_the_chain_never_forks(
    client: Client,
) -> None:
    (made,) = await client.remember("one")

    outcomes = await asyncio.gather(
        *(update(client, f"writer {n}", id=made.id) for n in range(12)), return_exceptions=True
    )

    won = [outcome for outcome in outcomes if isinstance(outcome, MemoryReceipt)]
    assert len(won) == 1
    for lost in outcomes:
        if not isinstance(lost, MemoryReceipt):
            refusal = Refusal()
            read_refusal(lost, refusal)
            assert refusal.info.reason == "MEMORY_NOT_LATEST"
            assert refusal.info.metadata["latest_id"] == won[0].id
    chain = await versions(client, made.id)
    assert [memory.version for memory in chain] == [2, 1]


async def test_racing_writers_that_retry_lose_nothing(client: Client) -> None:
    (made,) = await client.remember("v1")

    async def append() -> None:
        latest = made.id
        while True:
            try:
                await update(client, "next", id=latest)
            except Exception as error:  # noqa: BLE001  (only one reason is let through)
                refusal = Refusal()
                read_refusal(error, refusal)
                assert refusal.info.reason == "MEMORY_NOT_LATEST"
                latest = refusal.info.metadata["latest_id"]
            else:
                return

    await asyncio.gather(*(append() for _ in range(8)))

    chain = await versions(client, made.id)
    assert [memory.version for memory in chain] == list(range(9, 0, -1))
    assert [memory.parent_memory_id for memory in chain[:-1]] == [m.id for m in chain[1:]]
    assert sum(memory.is_latest for memory in chain) == 1


async def test_another_etag_aborts_an_update(client: Client) -> None:
    (made,) = await client.remember("one")

    with refused(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await update(client, id=made.id, etag="stale")

    assert (await update(client, id=made.id, etag=made.etag)).version == 2


async def test_metadata_given_replaces_all_of_it(client: Client) -> None:
    (made,) = await client.remember(NewMemory(content="x", metadata=struct({"a": 1, "b": 2})))
    second = await update(client, id=made.id, metadata=struct({"c": 3, "null": None}))
    third = await update(client, id=second.id)
    fourth = await update(client, id=third.id, metadata=struct({}))

    assert (await client.memory(third.id)).metadata == struct({"c": 3})
    assert len((await client.memory(fourth.id)).metadata.fields) == 0


async def test_the_temporal_context_is_merged_field_by_field(client: Client) -> None:
    context = TemporalContext(document_date="2026-01-01", event_dates=["2026-02-02"])
    (made,) = await client.remember(NewMemory(content="x", temporal_context=context))

    async def after(previous: str, **change: Any) -> Memory:
        receipt = await update(
            client, id=previous, temporal_context=TemporalContextUpdate(**change)
        )
        return await client.memory(receipt.id)

    second = await after(made.id, document_date="2027-01-01")
    assert second.temporal_context.document_date == "2027-01-01"
    assert second.temporal_context.event_dates == ["2026-02-02"]
    third = await after(second.id, clear_event_dates=True)
    assert third.temporal_context.document_date == "2027-01-01"
    assert third.temporal_context.event_dates == []
    fourth = await after(third.id, clear_document_date=True, event_dates=["2028-01-01"])
    assert fourth.temporal_context.document_date == ""
    assert fourth.temporal_context.event_dates == ["2028-01-01"]
    assert len(fourth.metadata.fields) == 0


async def test_a_schedule_in_the_past_or_a_reason_without_one_is_refused(client: Client) -> None:
    (made,) = await client.remember("x")

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await update(client, id=made.id, forget_after=PAST)
    assert refusal.fields == ["forget_after"]
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await update(client, id=made.id, forget_reason="why")
    assert refusal.fields == ["forget_reason"]
    assert (await client.memory(made.id)).is_latest


async def test_a_reason_can_be_changed_or_emptied_on_its_own(client: Client) -> None:
    (made,) = await client.remember(NewMemory(content="x", forget_after=FAR, forget_reason="first"))
    second = await update(client, id=made.id, forget_reason="second")
    third = await update(client, id=second.id, forget_reason="")

    assert (await client.memory(second.id)).forget_reason == "second"
    memory = await client.memory(third.id)
    assert (memory.forget_reason, memory.forget_after) == ("", FAR)


async def test_deleting_removes_the_whole_chain_from_everything(client: Client) -> None:
    (first,) = await client.remember("one")
    second = await update(client, "two", id=first.id)

    answer = await client.memories.DeleteMemory(DeleteMemoryRequest(id=second.id))

    assert answer.root_memory_id == first.id
    assert answer.deleted_version_count == 2
    for gone in (first.id, second.id):
        with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
            await client.memory(gone)
        with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
            await client.memory(gone, as_of=first.create_time)
    assert await client.remembered(include_history=True, include_forgotten=True) == []
    with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
        await client.memories.DeleteMemory(DeleteMemoryRequest(id=first.id))
    missing = await client.memories.DeleteMemory(
        DeleteMemoryRequest(id=first.id, allow_missing=True)
    )
    assert (missing.root_memory_id, missing.deleted_version_count) == ("", 0)


async def test_deleting_with_another_etag_aborts(client: Client) -> None:
    (made,) = await client.remember("one")

    with refused(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await client.memories.DeleteMemory(DeleteMemoryRequest(id=made.id, etag="stale"))

    assert (await client.memory(made.id)).content == "one"


async def test_an_update_answers_the_whole_new_version(client: Client, connect: Connect) -> None:
    source = await client.put("the source", container_tags=["vault"])
    (first,) = await client.remember(
        NewMemory(
            content="tea",
            metadata=struct({"topic": "drinks"}),
            is_static=True,
            forget_after=FAR,
            forget_reason="stale by then",
            temporal_context=TemporalContext(document_date="2026-05-08"),
            source_document_id=source.id,
        )
    )

    answer = await client.memories.UpdateMemory(
        UpdateMemoryRequest(
            id=first.id,
            new_content="coffee",
            temporal_context=TemporalContextUpdate(event_dates=["2026-05-09"]),
        )
    )

    assert answer.version == await client.memory(answer.receipt.id)
    assert answer.version.content == answer.memory == "coffee"
    assert answer.version.metadata == struct({"topic": "drinks"})
    assert answer.version.forget_after == FAR
    assert answer.version.forget_reason == "stale by then"
    assert answer.version.temporal_context.document_date == "2026-05-08"
    assert list(answer.version.temporal_context.event_dates) == ["2026-05-09"]
    assert answer.version.source_document_id == source.id
    assert answer.version.etag == answer.receipt.etag

    async with connect(containers=["default"]) as limited:
        request = UpdateMemoryRequest(id=answer.receipt.id, new_content="water")
        told = await limited.memories.UpdateMemory(request)
    assert told.version.source_document_id == ""
    assert (await client.memory(told.receipt.id)).source_document_id == source.id


async def test_updates_of_many_keys_at_once_answer_each_its_own_version(
    client: Client, connect: Connect
) -> None:
    source = await client.put("the source", container_tags=["vault"])
    made = await client.remember(
        *(NewMemory(content=f"old {n}", source_document_id=source.id) for n in range(20))
    )
    async with connect(containers=["default"]) as limited:
        answers = await asyncio.gather(
            *(
                (limited if n % 2 else client).memories.UpdateMemory(
                    UpdateMemoryRequest(id=one.id, new_content=f"new {n}")
                )
                for n, one in enumerate(made)
            )
        )

    assert [answer.version.content for answer in answers] == [f"new {n}" for n in range(20)]
    assert [answer.version.parent_memory_id for answer in answers] == [one.id for one in made]
    for n, answer in enumerate(answers):
        assert answer.version.source_document_id == ("" if n % 2 else source.id)


async def test_a_repeated_update_answers_the_version_as_it_stands(client: Client) -> None:
    (first,) = await client.remember("tea")
    request = UpdateMemoryRequest(
        id=first.id, new_content="coffee", request_id="00000000-0000-4000-8000-000000000007"
    )
    answer = await client.memories.UpdateMemory(request)
    assert await client.memories.UpdateMemory(request) == answer

    await update(client, id=answer.receipt.id, new_content="water")
    again = await client.memories.UpdateMemory(request)
    assert again.receipt == answer.receipt
    assert again.version == await client.memory(answer.receipt.id)
    assert not again.version.is_latest

    await client.memories.DeleteMemory(DeleteMemoryRequest(id=first.id))
    gone = await client.memories.UpdateMemory(request)
    assert gone.receipt == answer.receipt
    assert gone.memory == ""
    assert not gone.HasField("version")
