"""Searches beside writes: each sees all that was answered before it began."""

from __future__ import annotations

import asyncio

import pytest

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.client import struct
from tests.finding.service_harness import ServiceHarness, where

CALLERS = 12
ROUNDS = 6


@pytest.mark.slow
async def test_memories_are_found_and_gone_as_soon_as_the_call_returns(
    harness: ServiceHarness,
) -> None:
    memories, marked = harness.client.memories, where("k", "v")

    async def caller(number: int) -> None:
        async def found() -> set[str]:
            hits = await harness.memories(f"caller{number}", limit=100, filter=marked)
            return {h.memory.id for h in hits if f"caller{number} " in h.memory.content}

        for turn in range(ROUNDS):
            (made,) = await harness.client.remember(
                m.NewMemory(content=f"caller{number} says {turn}", metadata=struct({"k": "v"}))
            )
            assert await found() == {made.id}
            updated = await memories.UpdateMemory(
                m.UpdateMemoryRequest(id=made.id, new_content=f"caller{number} says {turn} again")
            )
            assert await found() == {updated.receipt.id}
            await memories.ForgetMemory(m.ForgetMemoryRequest(id=updated.receipt.id))
            assert await found() == set()
            await memories.RestoreMemory(m.RestoreMemoryRequest(id=updated.receipt.id))
            assert await found() == {updated.receipt.id}
            await memories.DeleteMemory(m.DeleteMemoryRequest(id=made.id))
            assert await found() == set()

    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    assert harness.check() == []


@pytest.mark.slow
async def test_documents_are_found_and_gone_as_soon_as_the_call_returns(
    harness: ServiceHarness,
) -> None:
    async def caller(number: int) -> None:
        name = f"caller{number}"

        async def found() -> list[str]:
            texts = await harness.texts(name, limit=100)
            return [text for text in texts if text.startswith(f"{name} ")]

        for turn in range(ROUNDS):
            await harness.client.put(f"{name} says {turn}", custom_id=name, wait=True)
            assert await found() == [f"{name} says {turn}"]
            await harness.client.put(f"{name} says {turn} again", custom_id=name, wait=True)
            assert await found() == [f"{name} says {turn} again"]
            if turn % 2:
                await harness.client.documents.DeleteDocument(d.DeleteDocumentRequest(id=name))
                assert await found() == []

    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    assert harness.check() == []


async def test_what_a_search_found_and_then_was_deleted_is_replaced_by_the_next(
    harness: ServiceHarness,
) -> None:
    """Deleted between ranking and reading: the answer is full, and without it."""
    receipts = await harness.client.remember(*(f"Ann likes quinces {i}" for i in range(20)))
    index = harness.service.store.index
    read, deleted = index.hydrate, False

    async def deleting(*arguments: object) -> object:
        nonlocal deleted
        if not deleted:
            deleted = True
            for receipt in receipts[:5]:
                await harness.client.memories.DeleteMemory(m.DeleteMemoryRequest(id=receipt.id))
        return await read(*arguments)  # type: ignore[arg-type]

    index.hydrate = deleting  # type: ignore[method-assign,assignment]
    hits = await harness.memories("Ann likes quinces")
    assert len(hits) == 10
    gone = {receipt.id for receipt in receipts[:5]}
    assert gone.isdisjoint(hit.memory.id for hit in hits)
