"""Two servers on one database: each finds at once what the other wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from service.core import model as core
from service.storage.memories import operations as memories
from service.storage.transactions import Mutation, Outcome, TenantTx
from tests.client import struct
from tests.finding.service_harness import ServiceHarness, running_harness, where
from tests.gates import Gate
from tests.inprocess import ManualClock, SkewedClock

pytestmark = pytest.mark.slow


@pytest.fixture(params=[-30, -5, 0, 5, 30])
def ahead(request: pytest.FixtureRequest) -> int:
    """Seconds that the second server's clock is ahead of the first one's."""
    return int(request.param)


@pytest_asyncio.fixture
async def other(
    harness: ServiceHarness, directory: Path, clock: ManualClock, ahead: int
) -> AsyncIterator[ServiceHarness]:
    listen, skewed = f"unix:{directory / 'two'}", SkewedClock(clock, ahead)
    async with running_harness(directory, skewed, embedder="words:a", listen=listen) as made:
        yield made


async def test_memories_of_another_server(
    harness: ServiceHarness, other: ServiceHarness, clock: ManualClock, ahead: int
) -> None:
    memories = other.client.memories
    assert await harness.contents("quinces") == []
    (made,) = await other.client.remember("Ann likes quinces")
    assert await harness.contents("quinces") == ["Ann likes quinces"]
    updated = await memories.UpdateMemory(
        m.UpdateMemoryRequest(
            id=made.id, new_content="Ann likes medlars", metadata=struct({"k": "v"})
        )
    )
    marked = where("k", "v")
    assert await harness.contents("quinces", filter=marked) == ["Ann likes medlars"]
    await memories.ForgetMemory(m.ForgetMemoryRequest(id=updated.receipt.id))
    assert await harness.contents("quinces", filter=marked) == []
    await memories.RestoreMemory(
        m.RestoreMemoryRequest(id=updated.receipt.id, forget_after=clock.stamp(60 + max(ahead, 0)))
    )
    assert await harness.contents("quinces", filter=marked) == ["Ann likes medlars"]
    clock.advance(61 + abs(ahead))
    assert await harness.contents("quinces", filter=marked) == []
    await other.service.store.sweep()
    assert await harness.contents("quinces") == []
    await memories.DeleteMemory(m.DeleteMemoryRequest(id=made.id))
    assert await harness.contents("quinces", include_forgotten=True, include_history=True) == []


async def test_both_servers_see_at_once_what_either_does(
    harness: ServiceHarness, other: ServiceHarness
) -> None:
    for one, two in ((harness, other), (other, harness), (harness, other)):
        (made,) = await one.client.remember("Ann likes quinces")
        assert (await two.client.memory(made.id)).content == "Ann likes quinces"
        assert [memory.id for memory in await two.client.remembered()] == [made.id]
        assert await two.contents("quinces") == ["Ann likes quinces"]
        again = m.UpdateMemoryRequest(id=made.id, new_content="Ann likes medlars")
        newer = (await two.client.memories.UpdateMemory(again)).receipt
        assert newer.create_time.ToMicroseconds() > made.create_time.ToMicroseconds()
        assert not (await one.client.memory(made.id)).is_latest
        assert await one.contents("medlars") == ["Ann likes medlars"]
        await two.client.memories.ForgetMemory(m.ForgetMemoryRequest(id=newer.id))
        assert (await one.client.memory(newer.id)).forgotten
        assert await one.client.remembered() == []
        assert await one.contents("medlars") == []
        forgotten = await one.client.remembered(include_forgotten=True)
        assert [memory.id for memory in forgotten] == [newer.id]
        await one.client.memories.RestoreMemory(m.RestoreMemoryRequest(id=newer.id))
        assert await two.contents("medlars") == ["Ann likes medlars"]
        await two.client.memories.DeleteMemory(m.DeleteMemoryRequest(id=newer.id))
        assert await one.client.remembered(include_forgotten=True, include_history=True) == []
    assert harness.check() == []


async def test_the_past_is_the_same_on_both_servers(
    harness: ServiceHarness, other: ServiceHarness, clock: ManualClock
) -> None:
    """Also while one of them is about to commit, at a time before the one that is asked."""
    gate = Gate()

    def create(
        tx: TenantTx, mutations: Sequence[Mutation[core.MemoryCreate]]
    ) -> Sequence[Outcome[core.MemoriesReceipt]]:
        gate.pass_through(tx.conn)
        return memories.create(tx, mutations)

    for writer, reader in ((harness, other), (other, harness)):
        await writer.client.remember("first")
        clock.advance(60)
        gate = Gate()
        store = writer.service.store
        principal = await store.keys.authenticate(writer.service.create_key())
        slow = core.MemoryCreate("default", (core.NewMemory("slow"),))
        writing = asyncio.create_task(store.engine.mutate(create, Mutation(principal, slow)))
        await gate.wait()
        clock.advance(120)
        asked = clock.stamp(-50)
        reading = asyncio.create_task(reader.client.remembered(as_of=asked))
        # What answers now, without waiting, answers too soon.
        await asyncio.wait({reading}, timeout=0.3)
        gate.go.set()
        await writing
        first = [memory.content for memory in await reading]
        for one in (reader, writer):
            again = await one.client.remembered(as_of=asked)
            assert [memory.content for memory in again] == first


async def test_documents_of_another_server(harness: ServiceHarness, other: ServiceHarness) -> None:
    documents, marked = other.client.documents, where("k", "v")
    assert await harness.texts("quinces", container_tags=["x"]) == []
    assert await harness.texts("quinces", container_tags=["x"], filter=marked) == []
    await other.client.put("quinces", custom_id="a", container_tags=["x", "y"], wait=True)
    assert await harness.texts("quinces", container_tags=["x"]) == ["quinces"]
    await documents.UpdateDocument(d.UpdateDocumentRequest(id="a", metadata=struct({"k": "v"})))
    assert await harness.texts("quinces", container_tags=["x"], filter=marked) == ["quinces"]
    await documents.UpdateDocument(d.UpdateDocumentRequest(id="a", container_tags=["y", "z"]))
    found = [await harness.texts("quinces", container_tags=[tag]) for tag in "xyz"]
    assert found == [[], ["quinces"], ["quinces"]]
    await other.client.put("more quinces", custom_id="a", wait=True)
    assert await harness.texts("quinces", container_tags=["z"]) == ["more quinces"]
    await other.client.put("quinces too", custom_id="b", container_tags=["z"], wait=True)
    await other.client.containers.DeleteContainer(c.DeleteContainerRequest(container_tag="z"))
    found = [await harness.texts("quinces", container_tags=[tag]) for tag in "xyz"]
    assert found == [[], ["more quinces"], []]
    await documents.DeleteDocument(d.DeleteDocumentRequest(id="a"))
    assert await harness.texts("quinces", container_tags=["y"]) == []
    assert harness.check() == []


async def test_waiting_and_watching_see_what_another_server_does(
    harness: ServiceHarness, directory: Path, clock: ManualClock
) -> None:
    listen = f"unix:{directory / 'three'}"
    async with running_harness(
        directory, clock, embedder="words:a", listen=listen, workers=0
    ) as idle:
        receipt = await idle.client.put("quinces", custom_id="a", wait=True)
        assert receipt.status == d.DOCUMENT_STATUS_DONE
        assert await idle.texts("quinces") == ["quinces"]
