"""How many documents the workers take at once, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from palimpsest.v1 import documents_pb2 as d
from service.core.model import Status
from service.pipeline.worker import MIN_BATCH, YIELDING_BATCH, PipelineOptions
from service.ports.processing import Work
from service.runtime import priority
from tests.client import connected
from tests.finding.service_harness import ServiceHarness, indexing, running_harness
from tests.inprocess import ManualClock


class Claims:
    """What the workers ask for, and the contents that they get."""

    def __init__(self, harness: ServiceHarness) -> None:
        self.limits: list[int] = []
        self.taken: list[list[str]] = []
        queue = harness.service.store.queue
        claim = queue.claim

        async def noted(holder: str, limit: int, lease: float) -> Sequence[Work]:
            works = await claim(holder, limit, lease)
            if works:
                self.limits.append(limit)
                self.taken.append(sorted(str(work.content) for work in works))
            return works

        queue.claim = noted  # type: ignore[method-assign]


@pytest.fixture
async def harness(
    directory: Path, clock: ManualClock, request: pytest.FixtureRequest
) -> AsyncIterator[ServiceHarness]:
    """With the `PipelineOptions` that a test names."""
    options = indexing(pipeline=request.param)
    async with running_harness(directory, clock, embedder="words:a", options=options) as made:
        yield made


async def put_many(harness: ServiceHarness, count: int) -> None:
    items = [d.UpsertDocumentRequest(content=f"words {i}") for i in range(count)]
    await harness.client.documents.BatchUpsertDocuments(d.BatchUpsertDocumentsRequest(items=items))


@pytest.mark.parametrize("harness", [PipelineOptions(gather=3600.0)], indirect=True)
async def test_what_arrives_while_others_are_at_work_is_taken_together(
    harness: ServiceHarness,
) -> None:
    claims = Claims(harness)
    harness.stages.hold(Status.CHUNKING)
    await harness.client.put("first")
    await harness.stages.reached()
    for content in ("second", "third", "fourth"):
        await harness.client.put(content)
    harness.stages.let_go()
    await harness.idle()
    assert claims.taken == [["first"], ["fourth", "second", "third"]]


@pytest.mark.parametrize("harness", [PipelineOptions(gather=0.01)], indirect=True)
async def test_a_document_does_not_wait_long_for_one_that_takes_long(
    harness: ServiceHarness,
) -> None:
    harness.stages.hold(Status.CHUNKING)
    slow = asyncio.create_task(harness.client.put("slow", custom_id="slow", wait=True))
    await harness.stages.reached()
    harness.stages.stage = None
    assert (await harness.client.put("quick", wait=True)).status == d.DOCUMENT_STATUS_DONE
    assert await harness.status("slow") == d.DOCUMENT_STATUS_CHUNKING
    harness.stages.let_go()
    assert (await slow).status == d.DOCUMENT_STATUS_DONE


@pytest.mark.parametrize(
    ("harness", "limit"),
    [(PipelineOptions(target=0.0), MIN_BATCH), (PipelineOptions(target=1e6), 256)],
    indirect=["harness"],
)
async def test_more_are_taken_the_less_each_of_them_takes(
    harness: ServiceHarness, limit: int
) -> None:
    claims = Claims(harness)
    await harness.client.put("first", wait=True)
    harness.stages.hold(Status.EXTRACTING)
    await put_many(harness, 40)
    harness.stages.let_go()
    await harness.idle()
    assert set(claims.limits[1:]) == {limit}
    assert max(map(len, claims.taken)) <= limit
    assert sum(map(len, claims.taken)) == 41


async def test_fewer_are_taken_while_another_tenant_calls(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine: another call of a tenant is expected long after one.
    monkeypatch.setattr(priority, "CALLED_SECONDS", 3600.0)
    options = indexing(pipeline=PipelineOptions(target=1e6))
    async with running_harness(
        directory, clock, embedder="words:a", options=options, workers=1
    ) as harness:
        claims = Claims(harness)
        key = harness.service.create_key(tenant="other")
        async with connected(harness.service.address, key) as other:
            await other.put("another tenant's")
        await harness.idle()
        await put_many(harness, MIN_BATCH - 1)
        await harness.idle()
        assert YIELDING_BATCH not in claims.limits, "few documents waited"
        claims.limits.clear()
        await put_many(harness, 300)
        await harness.idle()
    assert set(claims.limits[1:]) == {YIELDING_BATCH}
