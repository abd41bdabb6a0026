"""What holds for every embedder, and how calls take turns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
import pytest_asyncio

from service.embedding.base import (
    EmbedderError,
    EmbedderRefusedError,
    EmbedderUnavailableError,
    InlineEmbedder,
    Purpose,
    Vectors,
)
from service.embedding.limiter import EmbedderThreads, FairLimiter, sliced
from tests.waiting import HANG_SECONDS


class Fixed(InlineEmbedder):
    """Gives the rows it was made with, and notes the texts it was asked for."""

    name = "fixed"
    dimension = 2

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self.rows = np.array(rows, np.float32)
        self.asked: list[list[str]] = []

    async def load(self) -> None: ...

    async def close(self) -> None: ...

    async def _embed(self, texts: list[str], purpose: Purpose) -> Vectors:
        return self._compute(texts, purpose)

    def _compute(self, texts: list[str], purpose: Purpose) -> Vectors:
        self.asked.append(texts)
        return self.rows


async def test_rows_have_unit_length_and_the_order_of_the_texts() -> None:
    embedder = Fixed([[3, 4], [0, 0], [0, -2]])
    expected = np.array([[0.6, 0.8], [0, 0], [0, -1]], np.float32)
    found = await embedder.embed(["a", "b", "c"], Purpose.DOCUMENT)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(embedder.embed_now(["a", "b", "c"], Purpose.QUERY), found)


async def test_blank_texts_are_zeros_and_never_reach_the_model() -> None:
    embedder = Fixed([[1, 0]])
    expected = np.array([[0, 0], [1, 0], [0, 0]], np.float32)
    np.testing.assert_array_equal(await embedder.embed(["", "a", " \n"], Purpose.QUERY), expected)
    np.testing.assert_array_equal(embedder.embed_now(["", "a", " \n"], Purpose.QUERY), expected)
    assert (await embedder.embed([], Purpose.QUERY)).shape == (0, 2)
    assert (await embedder.embed(["\t"], Purpose.QUERY)).shape == (1, 2)
    assert embedder.embed_now([], Purpose.QUERY).shape == (0, 2)
    assert embedder.asked == [["a"], ["a"]]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([[1, 2, 3]], "dimension is 2"),
        ([[1, 2], [3, 4]], "for 1 texts"),
        ([[1, float("nan")]], "not finite"),
        ([[1, float("inf")]], "not finite"),
    ],
)
async def test_what_is_no_vector_is_refused(rows: list[list[float]], fault: str) -> None:
    with pytest.raises(EmbedderRefusedError, match=fault):
        await Fixed(rows).embed(["a"], Purpose.DOCUMENT)
    with pytest.raises(EmbedderRefusedError, match=fault):
        Fixed(rows).embed_now(["a"], Purpose.DOCUMENT)


def test_both_failures_are_the_embedders() -> None:
    assert issubclass(EmbedderUnavailableError, EmbedderError)
    assert issubclass(EmbedderRefusedError, EmbedderError)


async def test_turns_bound_what_runs_at_once_and_keep_the_order() -> None:
    turns = FairLimiter(3)
    running = most = 0

    async def work(piece: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return piece * piece

    calls = await asyncio.gather(*(turns.map(work, range(20)) for _ in range(4)))
    assert calls == [[piece * piece for piece in range(20)]] * 4
    assert most == 3
    assert await turns.map(work, []) == []


async def test_a_late_call_does_not_wait_for_the_batch_before_it() -> None:
    turns = FairLimiter(2)
    order: list[str] = []
    begun = asyncio.Event()

    async def work(piece: str) -> None:
        begun.set()
        await asyncio.sleep(0)
        order.append(piece)

    batch = asyncio.create_task(turns.map(work, ["batch"] * 100))
    await begun.wait()
    await turns.map(work, ["query"])
    assert len(order) < 10
    await batch


async def test_a_failure_ends_the_call_as_itself() -> None:
    turns = FairLimiter(2)
    begun: list[int] = []

    async def work(piece: int) -> None:
        begun.append(piece)
        await asyncio.sleep(0)
        raise EmbedderUnavailableError("down")

    with pytest.raises(EmbedderUnavailableError, match="down"):
        await turns.map(work, range(100))
    assert len(begun) <= 2


@pytest_asyncio.fixture
async def workers() -> AsyncIterator[EmbedderThreads]:
    made = EmbedderThreads(1, "test")
    yield made
    await made.close()


async def test_the_event_loop_runs_while_threads_work(workers: EmbedderThreads) -> None:
    go = threading.Event()
    call = asyncio.create_task(workers.map(lambda _: go.wait(HANG_SECONDS), [None]))
    await asyncio.sleep(0)
    assert not call.done()
    go.set()
    assert await call == [True]


async def test_a_cancelled_call_leaves_what_was_not_begun(workers: EmbedderThreads) -> None:
    begun, go, seen = threading.Event(), threading.Event(), list[int]()

    def work(piece: int) -> None:
        seen.append(piece)
        begun.set()
        go.wait(HANG_SECONDS)

    call = asyncio.create_task(workers.map(work, range(100)))
    await asyncio.to_thread(begun.wait, HANG_SECONDS)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go.set()
    assert await workers.map(lambda piece: -piece, [1]) == [-1]
    assert seen == [0]


def test_slices_keep_the_order() -> None:
    assert sliced(["a", "b", "c"], 2) == [["a", "b"], ["c"]]
    assert sliced([], 2) == []


async def test_a_call_that_is_cancelled_while_its_work_fails_stays_cancelled() -> None:
    begun = asyncio.Event()

    async def work(piece: int) -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError(piece)

    call = asyncio.create_task(FairLimiter(1).map(work, [1]))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
