"""The finder: a child process that searches the database; see `service.children`.

It reads what the server writes, and learns of it as it would of another server's
writes: by the change log.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from service import interpreter
from service.children import HEADER, answers, put
from service.core.digests import Digester
from service.core.precedence import Precedence
from service.core.search import IndexSource, Searcher
from service.core.times import MonotonicClock
from service.embedding.registry import open_inline
from service.pipeline.workshop import term_hasher
from service.retrieval.searcher import SegmentSearcher
from service.retrieval.segments import Segments
from service.search.weights import calibration
from service.storage.sqlite import open_index


@dataclass(frozen=True, slots=True)
class Plan:
    """What a finder is made of.

    Args:
        path: The database.
        digester: Of the database.
        embedder: What `registry.open_embedder` opens; one that computes where it is called.
        space: The number of its vector space.
        index_memory: Bytes that the segments may keep.
    """

    path: Path
    digester: Digester
    embedder: str
    space: int
    index_memory: int


def main() -> None:
    """Serve until the server closes its end."""
    with contextlib.suppress(asyncio.IncompleteReadError, BrokenPipeError):
        interpreter.run(_serve(answers()))


async def _serve(frames: BinaryIO) -> None:
    questions = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    _, plan = await _next(questions)
    # A clock without a time of its own: it has what it is told with each question.
    clock = MonotonicClock(lambda: 0)
    searching: set[asyncio.Task[None]] = set()
    async with open_index(plan.path, plan.digester, clock) as source:
        with ThreadPoolExecutor(2) as threads:
            searcher = _searcher(plan, source, threads)

            async def answer(number: int, question: Any) -> None:
                method, who, search, now = question
                clock.observe(now)
                found: tuple[bool, object]
                try:
                    found = True, await getattr(searcher, method)(who, search)
                except Exception as error:  # noqa: BLE001  (goes to the one who asked)
                    found = False, error
                put(frames, number, found)

            interpreter.settled()
            put(frames, 0, (True, None))
            try:
                while True:
                    task = asyncio.create_task(answer(*await _next(questions)))
                    searching.add(task)
                    task.add_done_callback(searching.discard)
            finally:
                for task in searching:
                    task.cancel()
                await asyncio.gather(*searching, return_exceptions=True)


def _searcher(plan: Plan, source: IndexSource, threads: Executor) -> Searcher:
    embedder = open_inline(plan.embedder)
    weights = calibration(embedder.name)
    segments = Segments(source, plan.space, embedder.dimension, weights, plan.index_memory, threads)
    hasher = term_hasher(plan.digester)
    return SegmentSearcher(source, segments, embedder, weights, hasher, threads, Precedence())


async def _next(questions: asyncio.StreamReader) -> tuple[int, Any]:
    """Raises IncompleteReadError when the server has closed its end."""
    size, number = HEADER.unpack(await questions.readexactly(HEADER.size))
    return number, pickle.loads(await questions.readexactly(size))  # noqa: S301  (the server's own words)


if __name__ == "__main__":
    main()
