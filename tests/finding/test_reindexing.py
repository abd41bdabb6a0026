"""Another embedder: everything moves to its space, and is found meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from palimpsest.v1 import documents_pb2 as d
from service import reindexing
from service.pipeline.encoder import IndexEncoder, Passage
from service.pipeline.executors import BackgroundScheduler
from service.pipeline.reindexing import ReindexOptions
from service.processes.worker_process import WorkerDiedError
from service.settings import Settings
from tests.backends.selection import backend_of
from tests.embedding_server import Server
from tests.finding.service_harness import ServiceHarness, indexing, running_harness
from tests.finding.work import POISON
from tests.inprocess import ManualClock
from tests.waiting import HANG_SECONDS, until

SPACES = (
    "SELECT e.name FROM embedders e JOIN (SELECT embedder FROM memories"
    " UNION SELECT embedder FROM chunks) ON embedder = e.id"
)


async def stock(harness: ServiceHarness, count: int = 5) -> None:
    for number in range(count):
        await harness.client.put(f"# Note {number}\n\nquinces and more", custom_id=f"{number}")
    await harness.client.remember(*(f"Ann likes quinces {number}" for number in range(count)))
    await harness.idle()


async def test_words_find_until_the_new_vectors_are_there(
    directory: Path, clock: ManualClock, server: Server, embedder: str
) -> None:
    async with running_harness(directory, clock, embedder="words:a") as harness:
        await stock(harness)
        before = {tuple(row) for row in harness.rows("SELECT document_id, chunk_id FROM chunks")}
    server.go_on.clear()
    async with running_harness(directory, clock, embedder=embedder) as harness:
        assert await asyncio.to_thread(server.asked_once.wait, HANG_SECONDS)
        search = asyncio.create_task(harness.memories("quinces", include_score_parts=True))
        await asyncio.sleep(0.05)
        server.go_on.set()
        hits = await search
        assert len(hits) == 5

        async def moved() -> bool:
            return [row.name for row in harness.rows(SPACES)] == [embedder_name]

        embedder_name = f"openai:{server.url}#m-3"
        await until(moved)
        hits = await harness.memories("quinces", include_score_parts=True)
        assert all(hit.score_parts.semantic > 0 for hit in hits)
        found = await harness.search("quinces", include_score_parts=True)
        assert all(chunk.score_parts.semantic > 0 for hit in found for chunk in hit.chunks)
        after = {tuple(row) for row in harness.rows("SELECT document_id, chunk_id FROM chunks")}
        assert after == before
        changes = harness.changes(found[0].document.id)
        assert changes == ["document.created", "document.processed", "document.indexed"]
        assert (await harness.client.get("1")).status == d.DOCUMENT_STATUS_DONE
        assert harness.check() == []


@pytest.mark.parametrize("fault", [WorkerDiedError("lost"), RuntimeError("a bug")])
async def test_it_goes_on_after_a_fault(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    async with running_harness(directory, clock, embedder="words:a") as harness:
        await stock(harness)
    faults = [fault]

    def failing(_: Sequence[Passage]) -> None:
        if faults:
            raise faults.pop()

    _before_each_slice(monkeypatch, failing)
    options = indexing(reindexing=ReindexOptions(pause=0.05))
    async with running_harness(directory, clock, embedder="words:b", options=options) as harness:
        await until(lambda: [row.name for row in harness.rows(SPACES)] == ["words:b"])
    assert not faults


async def test_a_text_that_no_helper_survives_holds_up_no_other(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_harness(directory, clock, embedder="words:a") as harness:
        await stock(harness)
        await harness.client.remember(POISON)

    def dying(passages: Sequence[Passage]) -> None:
        if any(passage.text == POISON for passage in passages):
            raise WorkerDiedError("lost")

    _before_each_slice(monkeypatch, dying)
    async with running_harness(directory, clock, embedder="words:b") as harness:

        async def moved() -> bool:
            left = harness.rows(
                "SELECT content FROM memories JOIN embedders e ON embedder = e.id"
                " WHERE e.name = 'words:a'"
            )
            chunks = harness.rows(
                "SELECT 1 FROM chunks JOIN embedders e ON embedder = e.id WHERE e.name = 'words:a'"
            )
            return not chunks and [str(row.content, "utf-8") for row in left] == [POISON]

        await until(moved)


def _before_each_slice(
    monkeypatch: pytest.MonkeyPatch, happens: Callable[[Sequence[Passage]], None]
) -> None:
    """Of what is embedded in the background."""
    through = BackgroundScheduler.map

    async def watched(self: BackgroundScheduler, work: Any, items: Any, *more: Any) -> Any:
        if work is IndexEncoder.vectors:
            happens(items)
        return await through(self, work, items, *more)

    monkeypatch.setattr(BackgroundScheduler, "map", watched)


async def test_the_command_moves_everything_and_goes_on_where_it_was_stopped(
    directory: Path, clock: ManualClock
) -> None:
    async with running_harness(directory, clock, embedder="words:a") as harness:
        await stock(harness, 100)
    location = backend_of(directory).location
    settings = Settings(data_dir=directory, embedder="words:b")

    class StoppedError(Exception):
        pass

    def stop(_: int) -> None:
        raise StoppedError

    left = await asyncio.to_thread(reindexing.remaining, location, settings)
    assert left == 200
    try:
        await asyncio.to_thread(reindexing.run, location, settings, stop)
    except StoppedError:
        pass
    else:
        raise AssertionError("it was not stopped")
    less = await asyncio.to_thread(reindexing.remaining, location, settings)
    assert 0 < less < left
    steps: list[int] = []
    assert await asyncio.to_thread(reindexing.run, location, settings, steps.append) == less
    assert sum(steps) == less
    assert await asyncio.to_thread(reindexing.remaining, location, settings) == 0
    async with running_harness(directory, clock, embedder="words:b") as harness:
        hits = await harness.memories("quinces 7", include_score_parts=True)
        assert all(hit.score_parts.semantic > 0 for hit in hits)
        assert harness.check() == []
