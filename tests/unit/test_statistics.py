"""What is counted of background tasks, batches and embedders."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from service.embedding.base import (
    Embedder,
    EmbedderError,
    EmbedderRefusedError,
    EmbedderUnavailableError,
    Purpose,
    Vectors,
)
from service.runtime.histogram import BucketCounts
from service.storage.statistics import TaskStatistics


def test_a_run_that_failed_leaves_what_the_last_success_left() -> None:
    task = TaskStatistics(lambda: 42)
    task.ended(1.5, succeeded=True)
    task.ended(9.0, succeeded=False)
    assert (task.runs, task.failures) == (1, 1)
    assert (task.last_success, task.last_seconds) == (42, 1.5)


def test_each_quantity_is_in_one_bucket() -> None:
    counts = BucketCounts((1, 10))
    for quantity in (0, 1, 2, 10, 11, 1000):
        counts.add(quantity)
    copied = counts.copy()
    counts.add(1)
    assert copied.counts == [2, 2, 2]
    assert copied.total == 1024


class Answering(Embedder):
    """Fails with what it is given, or waits for ever."""

    name = "answering"
    dimension = 2

    def __init__(self) -> None:
        self.failure: EmbedderError | None = None
        self.hangs = False

    async def load(self) -> None: ...

    async def close(self) -> None: ...

    async def _embed(self, texts: list[str], purpose: Purpose) -> Vectors:
        if self.failure is not None:
            raise self.failure
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        return np.ones((len(texts), 2), np.float32)


async def test_calls_of_an_embedder_are_counted_by_how_they_end() -> None:
    embedder = Answering()
    await embedder.embed(["one", " ", "two"], Purpose.DOCUMENT)
    await embedder.embed([" "], Purpose.QUERY)
    for failure in (EmbedderUnavailableError("down"), EmbedderRefusedError("never")):
        embedder.failure = failure
        with pytest.raises(EmbedderError):
            await embedder.embed(["three"], Purpose.QUERY)
    embedder.failure, embedder.hangs = None, True
    hanging = asyncio.create_task(embedder.embed(["four"], Purpose.QUERY))
    await asyncio.sleep(0)
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)

    usage = embedder.usage
    assert usage.calls == {"ok": 1, "unavailable": 1, "refused": 1, "cancelled": 1}
    assert usage.texts == 5
    assert usage.seconds > 0
