"""The finder: a child process that searches and lists; see `service.processes.worker_process`.

It reads what the server writes, and learns of it as it would of another server's
writes: by the change log.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from service.core.digests import Digester
from service.core.errors import OpenTimeError, PalimpsestError, UnexpectedError, describe
from service.core.model import Principal
from service.core.times import WallClock
from service.embedding.registry import open_inline
from service.pipeline.encoder import term_hasher
from service.processes.worker_process import HEADER, SILENCE_SECONDS, answers, put
from service.retrieval.searcher import TENANT_THREADS, THREADS, SegmentSearcher
from service.rpc.calls import CallInfo
from service.rpc.servicers import Method, methods_of
from service.runtime import interpreter
from service.runtime.fairness import FairThreads
from service.runtime.priority import Precedence
from service.storage.sqlite.store import open_to_read

OOM_POINTS = 300
"""See `interpreter.sacrifice`: fewer than those of a process that nobody waits for."""

SIGN_SECONDS = SILENCE_SECONDS / 10
"""Between signs of life: an index of many rows takes long to load."""

Answer = Callable[[Principal, Any], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a finder is made of.

    Args:
        path: The database.
        digester: Of the database.
        embedder: What `registry.open_embedder` opens; one that computes where it is called.
        space: The number of its vector space.
        index_memory: Bytes that the segments may keep.
        readers: Reading connections; see `StoreOptions`.
    """

    path: Path
    digester: Digester
    embedder: str
    space: int
    index_memory: int
    readers: int


def main() -> None:
    """Serve until the server closes its end."""
    with contextlib.suppress(asyncio.IncompleteReadError, BrokenPipeError):
        interpreter.sacrifice(OOM_POINTS)
        interpreter.run(_serve(answers()))


async def _serve(frames: BinaryIO) -> None:
    questions = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    _, body = await _next(questions)
    plan: Plan = pickle.loads(body)  # noqa: S301  (the server's own words)
    # It judges by the server's clock, which it is told with each question.
    told = 0
    clock = WallClock(lambda: told)
    answering: dict[int, asyncio.Task[tuple[bool, object]]] = {}
    async with open_to_read(plan.path, plan.digester, clock, plan.readers) as store:
        with contextlib.closing(FairThreads(THREADS, TENANT_THREADS, "search")) as threads:
            searcher = SegmentSearcher(
                store.index,
                open_inline(plan.embedder),
                plan.space,
                plan.index_memory,
                term_hasher(plan.digester),
                threads,
                Precedence(),
            )
            known: dict[str, Answer] = {
                method.path: _answering(method)
                for method in methods_of(store, searcher)
                if method.access.offloadable
            }
            # For those who search in the middle of a call that writes.
            known["memories"] = searcher.memories
            gate = contextlib.AsyncExitStack()
            known["close"] = lambda *_: gate.enter_async_context(store.file.closed())
            known["open"] = lambda *_: gate.aclose()

            async def answer(body: bytes) -> tuple[bool, object]:
                nonlocal told
                asked, who, about, told = pickle.loads(body)  # noqa: S301  (the server's own words)
                try:
                    return True, await known[asked](who, about)
                except (PalimpsestError, OpenTimeError) as error:
                    return False, error
                except Exception as error:  # noqa: BLE001  (goes to the one who asked)
                    return False, UnexpectedError(describe(error))

            def begin(number: int, body: bytes) -> None:
                def ended(task: asyncio.Task[tuple[bool, object]]) -> None:
                    del answering[number]
                    # A server that is gone is noticed where its questions are read.
                    with contextlib.suppress(BrokenPipeError):
                        put(frames, number, (True, None) if task.cancelled() else task.result())

                task = answering[number] = asyncio.create_task(answer(body))
                task.add_done_callback(ended)

            async def show_life() -> None:
                while True:
                    put(frames, 0, (True, None))
                    await asyncio.sleep(SIGN_SECONDS)

            interpreter.settled()
            living = asyncio.create_task(show_life())
            try:
                while True:
                    number, body = await _next(questions)
                    if body:
                        begin(number, body)
                    elif number in answering:
                        answering[number].cancel()
            finally:
                left = [living, *answering.values()]
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)


def _answering(method: Method) -> Answer:
    return lambda who, request: method.answer(CallInfo(method.path, who), request)


async def _next(questions: asyncio.StreamReader) -> tuple[int, bytes]:
    """Raises IncompleteReadError when the server has closed its end."""
    size, number = HEADER.unpack(await questions.readexactly(HEADER.size))
    return number, await questions.readexactly(size)


if __name__ == "__main__":
    main()
