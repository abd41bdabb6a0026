"""Reads that go through many rows run in a child process, in parallel to other calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Any

from service.core.errors import OpenTimeError
from service.core.model import Principal
from service.ports.search import (
    DocumentHits,
    DocumentSearch,
    IndexUsage,
    MemoryHits,
    MemorySearch,
    Searcher,
)
from service.processes.worker_process import WorkerDiedError, WorkerProcess, pickled
from service.runtime import call_stages
from service.runtime.priority import ForegroundPriority
from service.runtime.tenant_turns import TenantTurns

log = logging.getLogger(__name__)

USAGE_SECONDS = 1.0
"""How long the process may take to say what its indexes take up: it may be at work on large
ones."""

PAUSE_SECONDS = 30.0
"""How long the process may take to finish the reads in work: longer than any read."""

TENANT_CALLS = 2
"""Calls of one tenant that the process has at once, at most, while other tenants call, too: one
ranks while the other reads. It works on all that it has in turn, so each makes all others
slower."""


class SearchOffloader:
    """Sends reads to a search worker; also a searcher, see `ports.search.Searcher`.

    Args:
        process: Runs `search_worker`.
        local: Searches in this process while the worker is not ready: it is started by the
            first call.
        now: The wall clock as the storage has it, by which the worker judges.
        close_past: What the worker, which only reads, cannot do; see `ports.store`.
        on_ready: Called when the worker has answered: what `local` keeps is no longer needed.
        priority: Held as foreground while a call is in work.
    """

    def __init__(
        self,
        process: WorkerProcess,
        local: Searcher,
        now: Callable[[], int],
        close_past: Callable[[Principal, int], Awaitable[None]],
        on_ready: Callable[[], None],
        priority: ForegroundPriority,
    ) -> None:
        self._process = process
        self._local = local
        self._now = now
        self._close_past = close_past
        self._on_ready = on_ready
        self._priority = priority
        self._turns = TenantTurns(TENANT_CALLS)

    @property
    def ready(self) -> bool:
        """Whether the worker searches."""
        return self._process.ready

    async def answer(self, principal: Principal, method: str, request: bytes) -> bytes | None:
        """The response of one of the contract's methods; None: the worker is not available."""
        response: bytes | None = await self._offload(method, principal, request)
        return response

    async def documents(self, principal: Principal, search: DocumentSearch) -> DocumentHits:
        # Only a call that could not be answered by the worker comes to this.
        return await self._local.documents(principal, search)

    async def memories(self, principal: Principal, search: MemorySearch) -> MemoryHits:
        found: MemoryHits | None = await self._offload("memories", principal, search)
        return await self._local.memories(principal, search) if found is None else found

    async def index_usage(self) -> IndexUsage | None:
        """What the worker's indexes take up; None: it is not ready, or too busy to say."""
        usage: IndexUsage | None = await _control(
            self._process, "usage", self._now(), USAGE_SECONDS
        )
        return usage

    async def _offload(
        self, method: str, principal: Principal, request: bytes | MemorySearch
    ) -> Any:
        """The worker's result, or None."""
        if not self._process.ready:
            self._process.wake()
            return None
        turn = object()
        try:
            await self._turns.begin(principal.tenant, turn)
            with self._priority.foreground():
                try:
                    found = await self._ask(method, principal, request)
                except OpenTimeError as error:
                    await self._close_past(principal, error.instant)
                    found = await self._ask(method, principal, request)
        except WorkerDiedError as error:
            log.warning("a call is answered by the server itself: %s", error)
            return None
        finally:
            self._turns.end(principal.tenant, turn)
        self._on_ready()
        return found

    async def _ask(self, method: str, principal: Principal, request: bytes | MemorySearch) -> Any:
        """The worker's result; its stages are noted as those of the call."""
        stages = call_stages.current()
        sent = None if stages is None else perf_counter()
        call = pickled((method, principal, request, self._now(), sent))
        found, noted = await self._process.call(call)
        if stages is not None:
            stages.note_all(noted)
        return found


@asynccontextmanager
async def readers_paused(process: WorkerProcess, now: Callable[[], int]) -> AsyncIterator[None]:
    """The worker reads nothing while the block runs, unless it is not available."""
    try:
        await _control(process, "pause", now(), PAUSE_SECONDS)
        yield
    finally:
        await _control(process, "resume", now(), PAUSE_SECONDS)


async def _control(process: WorkerProcess, command: str, now: int, seconds: float) -> Any:
    """What the worker answers to a command; None if it cannot do it in so many seconds."""
    if not process.ready:
        return None
    with suppress(WorkerDiedError, TimeoutError):
        async with asyncio.timeout(seconds):
            call = pickled((command, None, None, now, None))
            answer, _ = await process.call(call, retry=False)
            return answer
    return None
