"""Embedders that are down, slow or wrong: tried again, then given up with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from service.pipeline.indexing import Timeouts
from service.pipeline.reindexing import ReindexOptions
from service.pipeline.worker import PipelineOptions
from service.retrieval.searcher import SearchOptions
from tests.embedding_server import Answer, RetryPolicy, Server
from tests.finding.service_harness import ServiceHarness, indexing, running_harness
from tests.inprocess import ManualClock
from tests.waiting import HANG_SECONDS, until

pytestmark = pytest.mark.usefixtures("impatient")

DOWN = Answer(500, {"error": {"message": "out of order"}})
WRONG = Answer(200, {"data": [{"index": 0, "embedding": [1.0, 2.0]}]})
SILENT = Answer(never=True)
FAULTS = pytest.mark.parametrize(
    ("fault", "reason"),
    [(DOWN, "500"), (WRONG, "dimension"), (SILENT, "did not answer")],
    ids=["down", "wrong", "silent"],
)


@pytest_asyncio.fixture
async def remote(
    directory: Path,
    clock: ManualClock,
    embedder: str,
    impatient: RetryPolicy,
) -> AsyncIterator[ServiceHarness]:
    """Looks for paused documents, and for what has no vector, all the time."""
    options = indexing(pipeline=PipelineOptions(poll=0.02), reindexing=ReindexOptions(pause=0.05))
    async with running_harness(
        directory, clock, embedder=embedder, attempts=3, options=options
    ) as made:
        yield made


async def tried(harness: ServiceHarness, times: int) -> None:
    """Wait until the only job has been tried so often and waits again."""

    async def waits() -> bool:
        (job,) = harness.rows("SELECT attempts, holder FROM jobs") or [None]
        return job is not None and job.holder is None and job.attempts == times

    await until(waits)


@contextmanager
def faulty(server: Server, retry_policy: RetryPolicy, fault: Answer) -> Iterator[None]:
    """The server answers so, and is given up soon only where it never answers."""
    server.script = [fault] * 1000
    retry_policy.timeout = 0.1 if fault.never else HANG_SECONDS
    yield
    retry_policy.timeout = HANG_SECONDS
    server.script = []


@FAULTS
async def test_a_fault_is_tried_again_ever_later_and_then_told(
    remote: ServiceHarness,
    server: Server,
    clock: ManualClock,
    impatient: RetryPolicy,
    fault: Answer,
    reason: str,
) -> None:
    with faulty(server, impatient, fault):
        await _given_up(remote, server, clock, reason)
    done = await remote.client.put("some words", custom_id="a", wait=True)
    assert (done.changed, done.status) == (False, d.DOCUMENT_STATUS_DONE)
    assert await remote.texts("words") == ["some words"]
    document = await remote.client.get("a")
    assert (document.error, document.attempt_count) == ("", 0)
    assert remote.check() == []


async def _given_up(
    remote: ServiceHarness, server: Server, clock: ManualClock, reason: str
) -> None:
    """Write a document, see it tried three times, and FAILED for that reason."""
    receipt = await remote.client.put("some words", custom_id="a")
    pauses = []
    for attempt in (1, 2):
        await tried(remote, attempt)
        (job,) = remote.rows("SELECT due_time FROM jobs")
        pause = (job.due_time - clock()) / 1_000_000
        pauses.append(pause)
        document = await remote.client.get("a")
        assert (document.status, document.error) == (d.DOCUMENT_STATUS_QUEUED, "")
        # Not before its time: a look for what is due finds nothing.
        assert not await remote.service.store.queue.claim("test", 1, 60)
        clock.advance(pause + 0.1)
    document = await remote.settled("a")
    assert 0.5 < pauses[0] <= 1 < 3 < pauses[1] <= 4
    assert (document.status, document.attempt_count) == (d.DOCUMENT_STATUS_FAILED, 3)
    assert reason in document.error
    assert remote.changes(receipt.id) == ["document.created", "document.failed"]
    assert remote.rows("SELECT 1 FROM jobs") == []
    assert await remote.texts("words") == []


async def test_what_failed_may_fail_again_and_counts_anew(
    remote: ServiceHarness, server: Server, clock: ManualClock
) -> None:
    server.script = [DOWN] * 100
    for _ in range(2):
        await remote.client.put("some words", custom_id="a")
        for attempt in (1, 2):
            await tried(remote, attempt)
            clock.advance(10)
        document = await remote.settled("a")
        assert (document.status, document.attempt_count) == (d.DOCUMENT_STATUS_FAILED, 3)
    assert remote.changes(document.id).count("document.failed") == 2


async def test_a_newer_write_ends_the_pause(
    remote: ServiceHarness, server: Server, clock: ManualClock
) -> None:
    server.script = [DOWN] * 100
    await remote.client.put("some words", custom_id="a")
    await tried(remote, 1)
    server.script = []
    done = await remote.client.put("other words", custom_id="a", wait=True)
    assert done.status == d.DOCUMENT_STATUS_DONE
    assert await remote.texts("words") == ["other words"]


async def test_what_needs_no_vector_does_not_wait_for_the_embedder(
    remote: ServiceHarness, server: Server
) -> None:
    await remote.client.put("some words", custom_id="a", wait=True)
    server.script = [DOWN] * 100
    done = await remote.client.documents.UpdateDocument(
        d.UpdateDocumentRequest(id="a", container_tags=["x"], wait=True)
    )
    assert done.receipt.status == d.DOCUMENT_STATUS_DONE
    assert await remote.texts("words", container_tags=["x"]) == ["some words"]


@FAULTS
async def test_memories_are_found_by_words_while_the_embedder_is_away(
    remote: ServiceHarness, server: Server, impatient: RetryPolicy, fault: Answer, reason: str
) -> None:
    vectors = "SELECT id FROM memories WHERE vector IS NULL"
    with faulty(server, impatient, fault):
        (made,) = await remote.client.remember("Ann likes quinces")
        updated = await remote.client.memories.UpdateMemory(
            m.UpdateMemoryRequest(id=made.id, new_content="Ann likes medlars")
        )
        assert await remote.contents("quinces") == []
        assert await remote.contents("medlars") == ["Ann likes medlars"]
        assert len(remote.rows(vectors)) == 2
    await until(lambda: not remote.rows(vectors))
    (hit,) = await remote.memories("medlars", include_score_parts=True)
    assert (hit.memory.id, hit.score_parts.semantic > 0) == (updated.receipt.id, True)
    assert remote.check() == []


@pytest.mark.usefixtures("impatient")
async def test_an_embedder_that_hangs_holds_up_no_memory_and_no_search(
    directory: Path, clock: ManualClock, embedder: str, server: Server
) -> None:
    options = indexing(timeouts=Timeouts(embedder=0.2), searches=SearchOptions(embed_timeout=0.2))
    # The embedder itself would wait for ever: no answer comes before the test is over.
    server.script = [SILENT] * 1000
    async with (
        running_harness(directory, clock, embedder=embedder, options=options) as remote,
        asyncio.timeout(HANG_SECONDS / 2),
    ):
        await remote.client.remember("Ann likes quinces")
        assert await remote.contents("quinces") == ["Ann likes quinces"]
        assert server.busy


async def test_searches_of_one_container_wait_for_the_embedder_side_by_side(
    remote: ServiceHarness, server: Server
) -> None:
    await remote.client.remember("Ann likes quinces")
    server.go_on.clear()
    searches = [asyncio.create_task(remote.contents(f"quinces {i}")) for i in range(3)]

    async def all_ask() -> bool:
        return server.busy == len(searches)

    try:
        await until(all_ask)
    finally:
        server.go_on.set()
        await asyncio.gather(*searches)


async def test_a_text_the_embedder_refuses_keeps_no_other_without_a_vector(
    remote: ServiceHarness, server: Server
) -> None:
    refusal = Answer(400, {"error": {"message": "too long"}})

    def picky(texts: list[str]) -> Answer:
        return refusal if any("poison" in text for text in texts) else Answer()

    server.script = [picky] * 1000
    await remote.client.remember("some poison", "Ann likes quinces", "Ben likes medlars")
    lacking = "SELECT content FROM memories WHERE vector IS NULL"
    assert remote.rows(lacking)
    await until(lambda: [row.content for row in remote.rows(lacking)] == [b"some poison"])
    assert await remote.contents("poison", min_score=0.1) == ["some poison"]
