"""Forgetting: by hand, by schedule and by the many; restoring; and looking back."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from palimpsest.v1.common_pb2 import LIST_ORDER_UPDATED_ASC
from palimpsest.v1.filter_pb2 import Condition, Filter
from palimpsest.v1.memories_pb2 import (
    DeleteMemoryRequest,
    ForgetMemoriesRequest,
    ForgetMemoriesResponse,
    ForgetMemoryRequest,
    GetMemoryRequest,
    ListMemoriesRequest,
    MemoryReceipt,
    NewMemory,
    RestoreMemoriesRequest,
    RestoreMemoryRequest,
    UpdateMemoryRequest,
)
from tests.client import Client, refused, struct
from tests.inprocess import ManualClock


async def forget(client: Client, memory_id: str, reason: str = "") -> MemoryReceipt:
    request = ForgetMemoryRequest(id=memory_id, reason=reason)
    return (await client.memories.ForgetMemory(request)).receipt


async def restore(client: Client, memory_id: str, **fields: Any) -> MemoryReceipt:
    request = RestoreMemoryRequest(id=memory_id, **fields)
    return (await client.memories.RestoreMemory(request)).receipt


async def forget_many(client: Client, **fields: Any) -> ForgetMemoriesResponse:
    return await client.memories.ForgetMemories(ForgetMemoriesRequest(**fields))


async def contents(client: Client, **fields: Any) -> set[str]:
    return {memory.content for memory in await client.remembered(**fields)}


def about(topic: str) -> Filter:
    return Filter(condition=Condition(key="topic", equals_string=topic))


def on(topic: str, *texts: str) -> list[NewMemory]:
    return [NewMemory(content=text, metadata=struct({"topic": topic})) for text in texts]


async def test_a_forgotten_memory_is_listed_only_when_asked_for(client: Client) -> None:
    made = await client.remember("tea", "coffee")
    receipt = await forget(client, made[0].id, "asked to")

    memory = await client.memory(made[0].id)

    assert receipt.forgotten
    assert receipt.is_latest
    assert receipt.etag == memory.etag != made[0].etag
    assert (memory.forgotten, memory.forget_reason) == (True, "asked to")
    assert memory.forget_time == receipt.update_time
    assert await contents(client) == {"coffee"}
    assert await contents(client, include_history=True) == {"coffee"}
    assert await contents(client, include_forgotten=True) == {"tea", "coffee"}


async def test_forgetting_again_is_refused(client: Client) -> None:
    (made,) = await client.remember("tea")
    await forget(client, made.id)

    with refused(StatusCode.FAILED_PRECONDITION, "MEMORY_FORGOTTEN"):
        await forget(client, made.id)


async def test_forgetting_hides_the_history_too(client: Client) -> None:
    (first,) = await client.remember("one")
    update = UpdateMemoryRequest(id=first.id, new_content="two")
    second = (await client.memories.UpdateMemory(update)).receipt
    await forget(client, second.id)

    assert await contents(client) == set()
    everything = await contents(client, include_history=True, include_forgotten=True)
    assert everything == {"one", "two"}


async def test_restoring_brings_a_memory_back_as_it_was(client: Client) -> None:
    (made,) = await client.remember(*on("drinks", "tea"))
    await forget(client, made.id, "by mistake")

    receipt = await restore(client, made.id)

    memory = await client.memory(made.id)
    assert not receipt.forgotten
    assert receipt.etag == memory.etag == made.etag
    assert (memory.forgotten, memory.forget_reason) == (False, "")
    assert not memory.HasField("forget_time")
    assert await contents(client) == {"tea"}
    with refused(StatusCode.FAILED_PRECONDITION, "MEMORY_NOT_FORGOTTEN"):
        await restore(client, made.id)


async def test_only_the_latest_version_is_restored(client: Client) -> None:
    (first,) = await client.remember("one")
    update = UpdateMemoryRequest(id=first.id, new_content="two")
    second = (await client.memories.UpdateMemory(update)).receipt
    await forget(client, second.id)

    with refused(StatusCode.FAILED_PRECONDITION, "MEMORY_NOT_LATEST") as refusal:
        await restore(client, first.id)

    assert refusal.info.metadata["latest_id"] == second.id


async def test_etags_guard_forgetting_and_restoring(client: Client) -> None:
    (made,) = await client.remember("tea")
    with refused(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await client.memories.ForgetMemory(ForgetMemoryRequest(id=made.id, etag="stale"))
    assert await contents(client) == {"tea"}

    await client.memories.ForgetMemory(ForgetMemoryRequest(id=made.id, etag=made.etag))
    with refused(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await restore(client, made.id, etag=made.etag)
    assert await contents(client) == set()


async def test_a_memory_is_forgotten_from_the_instant_it_was_scheduled_for(
    client: Client, clock: ManualClock
) -> None:
    at = clock.stamp(60)
    (made,) = await client.remember(
        NewMemory(content="trial", forget_after=at, forget_reason="trial over")
    )
    clock.advance(59)
    assert await contents(client) == {"trial"}
    assert not (await client.memory(made.id)).forgotten

    clock.advance(1)

    assert await contents(client) == set()
    memory = await client.memory(made.id)
    assert (memory.forgotten, memory.forget_reason) == (True, "trial over")
    assert memory.forget_time == at
    with refused(StatusCode.FAILED_PRECONDITION, "MEMORY_FORGOTTEN"):
        await forget(client, made.id)
    with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
        await client.memories.ForgetMemory(ForgetMemoryRequest(content="trial"))
    with refused(StatusCode.FAILED_PRECONDITION, "MEMORY_FORGOTTEN"):
        await client.memories.UpdateMemory(UpdateMemoryRequest(id=made.id, new_content="x"))


async def test_restoring_an_expired_memory_clears_its_passed_schedule(
    client: Client, clock: ManualClock
) -> None:
    (made,) = await client.remember(
        NewMemory(content="trial", forget_after=clock.stamp(60), forget_reason="trial over")
    )
    clock.advance(120)

    await restore(client, made.id)

    memory = await client.memory(made.id)
    assert not memory.HasField("forget_after")
    assert (memory.forgotten, memory.forget_reason) == (False, "")
    clock.advance(1_000_000)
    assert await contents(client) == {"trial"}


async def test_restoring_keeps_a_schedule_ahead_takes_a_new_one_or_clears_it(
    client: Client, clock: ManualClock
) -> None:
    ahead, later = clock.stamp(1_000), clock.stamp(2_000)
    (made,) = await client.remember(
        NewMemory(content="x", forget_after=ahead, forget_reason="planned")
    )
    await forget(client, made.id)
    assert (await restore(client, made.id)).forget_after == ahead
    assert (await client.memory(made.id)).forget_reason == "planned"
    await forget(client, made.id)
    assert (await restore(client, made.id, forget_after=later)).forget_after == later
    await forget(client, made.id)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await restore(client, made.id, forget_after=clock.stamp(-1))
    assert refusal.fields == ["forget_after"]
    receipt = await restore(client, made.id, clear_forget_after=True)
    assert not receipt.HasField("forget_after")


async def test_a_cleared_schedule_never_comes(client: Client, clock: ManualClock) -> None:
    (made,) = await client.remember(NewMemory(content="one", forget_after=clock.stamp(60)))
    await client.memories.UpdateMemory(
        UpdateMemoryRequest(id=made.id, new_content="two", clear_forget_after=True)
    )

    clock.advance(120)

    assert await contents(client) == {"two"}


async def test_many_are_forgotten_by_ids_all_or_none(client: Client) -> None:
    made = await client.remember("one", "two", "three")
    await forget(client, made[2].id)
    bad = [made[0].id, made[2].id, "mem_0000000000000000000000"]

    with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND") as refusal:
        await forget_many(client, ids=bad)
    assert set(refusal.fields) == {"ids[1]", "ids[2]"}
    assert await contents(client) == {"one", "two"}

    answer = await forget_many(client, ids=[made[1].id, made[0].id], reason="cleaning")
    assert [match.id for match in answer.matches] == [made[1].id, made[0].id]
    assert answer.forgotten_count == 2
    memory = await client.memory(made[0].id)
    assert (memory.forget_batch_id, memory.forget_reason) == (answer.forget_batch_id, "cleaning")
    assert await contents(client) == set()


async def test_many_are_forgotten_by_filter_oldest_first(client: Client) -> None:
    made = await client.remember(*on("a", "a1", "a2"), *on("b", "b1"))

    preview = await forget_many(client, filter=about("a"), validate_only=True)
    assert (preview.forget_batch_id, preview.forgotten_count) == ("", 2)
    assert await contents(client) == {"a1", "a2", "b1"}

    answer = await forget_many(client, filter=about("a"))
    assert [match.id for match in answer.matches] == [made[0].id, made[1].id]
    assert await contents(client) == {"b1"}
    none = await forget_many(client, filter=about("a"))
    assert (none.forget_batch_id, none.forgotten_count) == ("", 0)


async def test_more_matches_than_allowed_forget_nothing(client: Client) -> None:
    await client.remember(*on("a", *(f"a{n}" for n in range(100))))
    await client.remember(*on("a", "one more"))

    for limit in (0, 1, 100):
        with refused(StatusCode.FAILED_PRECONDITION, "TOO_MANY_MATCHES"):
            await forget_many(client, filter=about("a"), max_forget=limit)
    assert len(await contents(client)) == 101

    answer = await forget_many(client, filter=about("a"), max_forget=101)
    assert answer.forgotten_count == 101


async def test_forgetting_many_takes_exactly_one_selector(client: Client) -> None:
    (made,) = await client.remember("tea")

    for fields in ({}, {"ids": [made.id], "filter": about("a")}, {"ids": [made.id] * 2}):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await forget_many(client, **fields)
    assert await contents(client) == {"tea"}


async def test_a_mass_forget_stays_in_its_container(client: Client) -> None:
    await client.remember(*on("a", "theirs"), container="bob")
    await client.remember(*on("a", "ours"), container="ann")

    answer = await forget_many(client, container_tag="ann", filter=about("a"))

    assert answer.forgotten_count == 1
    assert await contents(client, container_tags=["ann", "bob"]) == {"theirs"}


async def test_a_batch_restores_what_it_still_keeps_forgotten(client: Client) -> None:
    made = await client.remember("keep", "restored", "again", "deleted")
    batch = (await forget_many(client, ids=[m.id for m in made])).forget_batch_id
    await restore(client, made[1].id)
    await restore(client, made[2].id)
    await forget(client, made[2].id)
    await client.memories.DeleteMemory(DeleteMemoryRequest(id=made[3].id))

    request = RestoreMemoriesRequest(forget_batch_id=batch)
    answer = await client.memories.RestoreMemories(request)

    assert [receipt.id for receipt in answer.receipts] == [made[0].id]
    assert set(answer.skipped_ids) == {made[1].id, made[2].id}
    assert await contents(client) == {"keep", "restored"}
    again = await client.memories.RestoreMemories(request)
    assert len(again.receipts) == 0
    assert set(again.skipped_ids) == {made[0].id, made[1].id, made[2].id}


async def test_a_batch_of_another_container_is_not_found(client: Client) -> None:
    (made,) = await client.remember("x", container="ann")
    batch = (await forget_many(client, container_tag="ann", ids=[made.id])).forget_batch_id

    for request in (
        RestoreMemoriesRequest(forget_batch_id=batch),
        RestoreMemoriesRequest(forget_batch_id="nonsense", container_tag="ann"),
    ):
        with refused(StatusCode.NOT_FOUND, "FORGET_BATCH_NOT_FOUND"):
            await client.memories.RestoreMemories(request)


async def test_the_past_is_answered_as_it_was(client: Client, clock: ManualClock) -> None:
    before = clock.tick()
    (first,) = await client.remember(NewMemory(content="one", forget_after=clock.stamp(100)))
    as_one = clock.tick()
    update = UpdateMemoryRequest(id=first.id, new_content="two")
    second = (await client.memories.UpdateMemory(update)).receipt
    as_two = clock.tick()
    await forget(client, second.id, "mistake")
    as_forgotten = clock.tick()
    await restore(client, second.id)
    as_restored = clock.tick()
    clock.advance(200)
    as_expired = clock.tick()

    async def at(moment: Timestamp) -> set[str]:
        return await contents(client, as_of=moment)

    assert await at(before) == set()
    assert await at(as_one) == {"one"}
    assert await at(as_two) == {"two"}
    assert await at(as_forgotten) == set()
    assert await at(as_restored) == {"two"}
    assert await at(as_expired) == set()
    assert await contents(client, as_of=as_two, include_history=True) == {"one", "two"}
    assert await contents(client, as_of=as_forgotten, include_forgotten=True) == {"two"}

    old = await client.memory(first.id, as_of=as_one)
    assert (old.is_latest, old.etag) == (True, first.etag)
    assert not (await client.memory(first.id, as_of=as_two)).is_latest
    forgotten = await client.memory(second.id, as_of=as_forgotten)
    assert (forgotten.forgotten, forgotten.forget_reason) == (True, "mistake")
    assert not (await client.memory(second.id, as_of=as_restored)).forgotten
    with refused(StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
        await client.memory(second.id, as_of=as_one)


async def test_a_listing_of_the_past_is_complete_while_others_write(
    client: Client, clock: ManualClock
) -> None:
    made = await client.remember("one", "two", "three")
    request = ListMemoriesRequest(as_of=clock.tick(), order=LIST_ORDER_UPDATED_ASC, page_size=1)
    page = await client.memories.ListMemories(request)
    await forget(client, made[1].id)

    seen = [memory.id for memory in page.memories]
    while page.next_page_token:
        request.page_token = page.next_page_token
        page = await client.memories.ListMemories(request)
        seen.extend(memory.id for memory in page.memories)

    assert seen == [receipt.id for receipt in made]


async def test_the_future_is_out_of_range(client: Client, clock: ManualClock) -> None:
    (made,) = await client.remember("tea")

    with refused(StatusCode.OUT_OF_RANGE, "TIME_IN_FUTURE"):
        await client.memories.GetMemory(GetMemoryRequest(id=made.id, as_of=clock.stamp(60)))
    with refused(StatusCode.OUT_OF_RANGE, "TIME_IN_FUTURE"):
        await client.memories.ListMemories(ListMemoriesRequest(as_of=clock.stamp(60)))


async def test_what_expires_between_two_pages_is_not_on_the_second(
    client: Client, clock: ManualClock
) -> None:
    await client.remember(
        *(NewMemory(content=f"m{n}", forget_after=clock.stamp(60)) for n in range(3))
    )
    first = await client.memories.ListMemories(ListMemoriesRequest(page_size=2))
    clock.advance(120)

    second = await client.memories.ListMemories(
        ListMemoriesRequest(page_size=2, page_token=first.next_page_token)
    )

    assert second.memories == []
