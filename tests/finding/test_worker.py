"""How many documents the workers take at once, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from palimpsest.v1 import documents_pb2 as d
from service.core.model import Status
from service.pipeline import worker
from service.ports.processing import Work
from tests.finding.lab import Lab, laboratory
from tests.inprocess import ManualClock


class Claims:
    """What the workers ask for, and the contents that they get."""

    def __init__(self, lab: Lab) -> None:
        self.limits: list[int] = []
        self.taken: list[list[str]] = []
        queue = lab.service.store.queue
        claim = queue.claim

        async def noted(holder: str, limit: int, lease: float) -> Sequence[Work]:
            works = await claim(holder, limit, lease)
            if works:
                self.limits.append(limit)
                self.taken.append(sorted(str(work.content) for work in works))
            return works

        queue.claim = noted  # type: ignore[method-assign]


@pytest.fixture
async def lab(directory: Path, clock: ManualClock) -> AsyncIterator[Lab]:
    async with laboratory(directory, clock, embedder="words:a") as made:
        yield made


async def put_many(lab: Lab, count: int) -> None:
    items = [d.UpsertDocumentRequest(content=f"words {i}") for i in range(count)]
    await lab.client.documents.BatchUpsertDocuments(d.BatchUpsertDocumentsRequest(items=items))


async def test_what_arrives_while_others_are_at_work_is_taken_together(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "GATHER_SECONDS", 3600.0)
    claims = Claims(lab)
    lab.stages.hold(Status.CHUNKING)
    await lab.client.put("first")
    await lab.stages.reached()
    for content in ("second", "third", "fourth"):
        await lab.client.put(content)
    lab.stages.let_go()
    await lab.idle()
    assert claims.taken == [["first"], ["fourth", "second", "third"]]


async def test_a_document_does_not_wait_long_for_one_that_takes_long(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "GATHER_SECONDS", 0.01)
    lab.stages.hold(Status.CHUNKING)
    slow = asyncio.create_task(lab.client.put("slow", custom_id="slow", wait=True))
    await lab.stages.reached()
    lab.stages.stage = None
    assert (await lab.client.put("quick", wait=True)).status == d.DOCUMENT_STATUS_DONE
    assert await lab.status("slow") == d.DOCUMENT_STATUS_CHUNKING
    lab.stages.let_go()
    assert (await slow).status == d.DOCUMENT_STATUS_DONE


@pytest.mark.parametrize(("seconds", "limit"), [(0.0, worker.MIN_BATCH), (1e6, 256)])
async def test_more_are_taken_the_less_each_of_them_takes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, seconds: float, limit: int
) -> None:
    monkeypatch.setattr(worker, "TARGET_BATCH_SECONDS", seconds)
    claims = Claims(lab)
    await lab.client.put("first", wait=True)
    lab.stages.hold(Status.EXTRACTING)
    await put_many(lab, 40)
    lab.stages.let_go()
    await lab.idle()
    assert set(claims.limits[1:]) == {limit}
    assert max(map(len, claims.taken)) <= limit
    assert sum(map(len, claims.taken)) == 41
