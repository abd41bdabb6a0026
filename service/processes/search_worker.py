"""A child process that searches and lists; see `service.processes.worker_process`.

It reads what the server writes, and follows the change log, as it would for the writes of
another server.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, BinaryIO

from service.core.database_location import DatabaseLocation
from service.core.digests import Digester
from service.core.errors import OpenTimeError, PalimpsestError, UnexpectedError, describe
from service.core.model import Principal
from service.core.times import WallClock
from service.embedding.registry import open_inline
from service.pipeline.encoder import term_hasher
from service.ports.search import IndexUsage
from service.processes.worker_process import HEADER, HEARTBEAT_TIMEOUT, open_results, send_result
from service.retrieval.searcher import (
    DEFAULT_OPTIONS,
    TENANT_THREADS,
    THREADS,
    SearchOptions,
    SegmentSearcher,
)
from service.rpc.calls import CallInfo
from service.rpc.servicers import Method, methods_of
from service.runtime import call_stages, interpreter
from service.runtime.call_stages import CallStages, Stage
from service.runtime.fairness import FairThreads
from service.runtime.priority import ForegroundPriority
from service.storage.opening import open_to_read

OOM_POINTS = 300
"""See `interpreter.raise_oom_score`: fewer than those of a process that no caller waits for."""

HEARTBEAT_SECONDS = HEARTBEAT_TIMEOUT / 10
"""Between heartbeats: an index of many rows takes long to load."""

Handler = Callable[[Principal, Any], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class SearchWorkerConfig:
    """What a search worker is initialised with.

    Args:
        location: Of the database.
        digester: The database's.
        embedder: A name for `registry.open_embedder`; one that computes in the calling thread.
        space: The number of the embedder's vector space.
        index_memory: Bytes that the segments may keep.
        readers: Reading connections; see `StoreOptions`.
        options: How searches are answered.
    """

    location: DatabaseLocation
    digester: Digester
    embedder: str
    space: int
    index_memory: int
    readers: int
    options: SearchOptions = DEFAULT_OPTIONS


def main() -> None:
    """Serve until the server closes its end."""
    with contextlib.suppress(asyncio.IncompleteReadError, BrokenPipeError):
        interpreter.raise_oom_score(OOM_POINTS)
        interpreter.run(_serve(open_results()))


async def _serve(frames: BinaryIO) -> None:
    requests = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    _, body = await _next(requests)
    config: SearchWorkerConfig = pickle.loads(body)  # noqa: S301  (sent by the server)
    # Time is judged by the server's clock, which each request states.
    server_time = 0
    clock = WallClock(lambda: server_time)
    running: dict[int, asyncio.Task[tuple[bool, object]]] = {}
    async with open_to_read(config.location, config.digester, clock, config.readers) as store:
        with contextlib.closing(FairThreads(THREADS, TENANT_THREADS, "search")) as threads:
            searcher = SegmentSearcher(
                store.index,
                open_inline(config.embedder),
                config.space,
                config.index_memory,
                term_hasher(config.digester),
                threads,
                ForegroundPriority(),
                config.options,
            )
            handlers: dict[str, Handler] = {
                method.path: _handler(method)
                for method in methods_of(store, searcher)
                if method.access.offloadable
            }
            # For searches that are part of a call that writes.
            handlers["memories"] = searcher.memories
            gate = contextlib.AsyncExitStack()
            handlers["usage"] = _usage(searcher)
            handlers["pause"] = lambda *_: gate.enter_async_context(store.readers_paused())
            handlers["resume"] = lambda *_: gate.aclose()

            async def answer(body: bytes) -> tuple[bool, object]:
                nonlocal server_time
                method, principal, request, server_time, sent = pickle.loads(body)  # noqa: S301  (the server's)
                noted = _noted_since(sent)
                try:
                    return True, (await handlers[method](principal, request), noted)
                except (PalimpsestError, OpenTimeError) as error:
                    return False, error
                except Exception as error:  # noqa: BLE001  (goes to the caller)
                    return False, UnexpectedError(describe(error))

            def start(number: int, body: bytes) -> None:
                def ended(task: asyncio.Task[tuple[bool, object]]) -> None:
                    del running[number]
                    # That the server is gone is noticed where its requests are read.
                    with contextlib.suppress(BrokenPipeError):
                        send_result(
                            frames, number, (True, None) if task.cancelled() else task.result()
                        )

                task = running[number] = asyncio.create_task(answer(body))
                task.add_done_callback(ended)

            async def send_heartbeats() -> None:
                while True:
                    send_result(frames, 0, (True, None))
                    await asyncio.sleep(HEARTBEAT_SECONDS)

            interpreter.freeze_gc()
            heartbeats = asyncio.create_task(send_heartbeats())
            try:
                while True:
                    number, body = await _next(requests)
                    if body:
                        start(number, body)
                    elif number in running:
                        running[number].cancel()
            finally:
                left = [heartbeats, *running.values()]
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)


def _handler(method: Method) -> Handler:
    return lambda principal, request: method.answer(CallInfo(method.path, principal), request)


def _usage(searcher: SegmentSearcher) -> Handler:
    async def usage(*_: object) -> IndexUsage:
        return searcher.usage()

    return usage


def _noted_since(sent: float | None) -> Sequence[Stage]:
    """The stages of a call that was sent then, as its task comes to them; None: not wanted."""
    if sent is None:
        return ()
    stages = CallStages()
    stages.note("worker_wait", sent, perf_counter())
    call_stages.enter(stages)
    return stages.noted


async def _next(requests: asyncio.StreamReader) -> tuple[int, bytes]:
    """Raises IncompleteReadError when the server has closed its end."""
    size, number = HEADER.unpack(await requests.readexactly(HEADER.size))
    return number, await requests.readexactly(size)


if __name__ == "__main__":
    main()
