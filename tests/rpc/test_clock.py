"""The machine's clock is wrong for a while: order holds, and nothing is lost for good.

What has expired, and what lies ahead, is judged by the clock as it then is.
"""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from palimpsest.v1.common_pb2 import LIST_ORDER_CREATED_ASC
from palimpsest.v1.documents_pb2 import ListDocumentsRequest
from palimpsest.v1.memories_pb2 import (
    ForgetMemoryRequest,
    ListMemoryVersionsRequest,
    NewMemory,
    RestoreMemoryRequest,
    UpdateMemoryRequest,
)
from tests.client import Client, connected, refused
from tests.inprocess import ManualClock, Service, running_service

HOUR = 3600


async def test_what_is_written_after_comes_after(client: Client, clock: ManualClock) -> None:
    before = await client.put("before", custom_id="before")
    clock.advance(-HOUR)
    after = await client.put("after", custom_id="after")
    again = await client.put("before, again", custom_id="before")

    assert before.update_time.ToMicroseconds() < after.update_time.ToMicroseconds()
    assert after.update_time.ToMicroseconds() < again.update_time.ToMicroseconds()
    assert (before.revision, after.revision, again.revision) == (1, 2, 3)
    assert await client.ids(order=LIST_ORDER_CREATED_ASC) == [before.id, after.id]


async def test_a_page_goes_on_where_it_stopped(client: Client, clock: ManualClock) -> None:
    made = [await client.put(f"text {n}") for n in range(3)]
    request = ListDocumentsRequest(order=LIST_ORDER_CREATED_ASC, page_size=2)
    first = await client.documents.ListDocuments(request)
    clock.advance(-HOUR)
    made.append(await client.put("text 3"))

    request.page_token = first.next_page_token
    second = await client.documents.ListDocuments(request)
    listed = [document.id for page in (first, second) for document in page.documents]
    assert listed == [receipt.id for receipt in made]


async def test_what_has_expired_is_judged_by_the_clock(client: Client, clock: ManualClock) -> None:
    (brief,) = await client.remember(NewMemory(content="brief", forget_after=clock.stamp(60)))
    (later,) = await client.remember(NewMemory(content="later", forget_after=clock.stamp(2 * HOUR)))
    clock.advance(61)
    assert [memory.id for memory in await client.remembered()] == [later.id]

    clock.advance(-HOUR)
    assert [memory.id for memory in await client.remembered()] == [later.id, brief.id]
    clock.advance(HOUR)
    assert [memory.id for memory in await client.remembered()] == [later.id]
    with refused(StatusCode.FAILED_PRECONDITION, "MEMORY_FORGOTTEN"):
        await client.memories.ForgetMemory(ForgetMemoryRequest(id=brief.id))
    restored = await client.memories.RestoreMemory(RestoreMemoryRequest(id=brief.id))
    assert not restored.receipt.HasField("forget_after")
    assert len(await client.remembered()) == 2
    clock.advance(2 * HOUR)
    assert [memory.id for memory in await client.remembered()] == [brief.id]


async def test_the_past_answers_as_it_did(client: Client, clock: ManualClock) -> None:
    moments: list[tuple[Timestamp, list[str]]] = []

    async def note() -> None:
        moments.append((clock.tick(), [memory.content for memory in await client.remembered()]))
        asked = await client.remembered(as_of=moments[-1][0])
        assert [memory.content for memory in asked] == moments[-1][1]

    (first,) = await client.remember("v1")
    await note()
    update = UpdateMemoryRequest(id=first.id, new_content="v2")
    second = (await client.memories.UpdateMemory(update)).receipt
    await note()
    clock.advance(-HOUR)
    await client.memories.ForgetMemory(ForgetMemoryRequest(id=second.id))
    assert await client.remembered() == []
    await client.memories.RestoreMemory(RestoreMemoryRequest(id=second.id))
    third = UpdateMemoryRequest(id=second.id, new_content="v3")
    await client.memories.UpdateMemory(third)
    with refused(StatusCode.OUT_OF_RANGE, "TIME_IN_FUTURE"):
        await client.remembered(as_of=moments[0][0])
    assert [memory.content for memory in await client.remembered()] == ["v3"]
    clock.advance(HOUR)

    assert [shown for _, shown in moments] == [["v1"], ["v2"]]
    for moment, shown in moments:
        assert [memory.content for memory in await client.remembered(as_of=moment)] == shown
    chain = await client.memories.ListMemoryVersions(ListMemoryVersionsRequest(id=first.id))
    assert [memory.content for memory in chain.memories] == ["v3", "v2", "v1"]
    made = [memory.create_time.ToMicroseconds() for memory in chain.memories]
    assert made == sorted(made, reverse=True)
    assert len(set(made)) == 3


async def test_a_service_that_starts_an_hour_earlier_goes_on_where_it_was(
    directory: Path, clock: ManualClock
) -> None:
    request_id = str(uuid.uuid4())
    async with running_service(directory, clock) as service:
        key = service.create_key()
        async with connected(service.address, key) as client:
            new = NewMemory(content="brief", forget_after=clock.stamp(60))
            (brief,) = await client.remember(new)
            clock.advance(61)
            put = await client.put("text", custom_id="one", request_id=request_id)
            past = clock.tick()
            await client.put("newer", custom_id="one")

    clock.advance(-HOUR)
    async with (
        running_service(directory, clock) as service,
        connected(service.address, key) as client,
    ):
        assert [m.id for m in await client.remembered()] == [brief.id]
        assert await client.put("text", custom_id="one", request_id=request_id) == put
        newest = await client.put("newest", custom_id="one")
        assert newest.update_time.ToMicroseconds() > past.ToMicroseconds()
        clock.advance(HOUR)
        assert await client.remembered() == []
        assert [m.id for m in await client.remembered(include_forgotten=True)] == [brief.id]
        assert (await client.memory(brief.id, as_of=past)).forgotten


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_day_ahead_for_a_minute_changes_nothing_afterwards(
    directory: Path, clock: ManualClock, *, restarted: bool
) -> None:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running_service(directory, clock))
        key = service.create_key()
        client = await stack.enter_async_context(connected(service.address, key))
        before = await client.put("before")
        await client.remember(NewMemory(content="tomorrow", forget_after=clock.stamp(20 * HOUR)))
        clock.jump(24 * HOUR)
        assert await client.remembered() == []
        await service.store.sweep()
        during = await client.put("during")
        await client.remember("in between")
        clock.advance(60)
        clock.jump(-24 * HOUR)
        if restarted:
            await stack.aclose()
            service = await stack.enter_async_context(running_service(directory, clock))
            client = await stack.enter_async_context(connected(service.address, key))

        both = ["tomorrow", "in between"]
        ascending = LIST_ORDER_CREATED_ASC
        assert [m.content for m in await client.remembered(order=ascending)] == both
        soon = NewMemory(content="soon", forget_after=clock.stamp(60))
        await client.remember(soon)
        after = await client.put("after")
        assert [m.content for m in await client.remembered(order=ascending)] == [*both, "soon"]
        assert await client.ids(order=ascending) == [before.id, during.id, after.id]
        with refused(StatusCode.OUT_OF_RANGE, "TIME_IN_FUTURE"):
            await client.remembered(as_of=clock.stamp(HOUR))
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await client.remember(NewMemory(content="past", forget_after=clock.stamp(-60)))
        await client.remembered(as_of=clock.tick())
        clock.advance(61)
        assert [m.content for m in await client.remembered(order=ascending)] == both
        clock.advance(20 * HOUR)
        assert [m.content for m in await client.remembered()] == ["in between"]


async def test_a_key_expires_by_the_clock(
    client: Client, service: Service, clock: ManualClock
) -> None:
    secret = service.create_key(expires_at=clock.stamp(HOUR).ToMicroseconds())
    async with connected(service.address, secret) as brief:
        await brief.put("text")
        clock.jump(24 * HOUR)
        await client.put("text")
        with refused(StatusCode.UNAUTHENTICATED, "KEY_INVALID"):
            await brief.put("text")
        clock.jump(-24 * HOUR)
        await brief.put("text")
        clock.advance(HOUR)
        with refused(StatusCode.UNAUTHENTICATED, "KEY_INVALID"):
            await brief.put("text")
