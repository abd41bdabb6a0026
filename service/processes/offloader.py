"""What looks through much is done in a child process: it and other calls go on side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from service.core.errors import OpenTimeError
from service.core.model import Principal
from service.ports.search import (
    DocumentHits,
    DocumentSearch,
    MemoryHits,
    MemorySearch,
    Searcher,
)
from service.processes.worker_process import Child, LostError, pickled
from service.runtime.priority import Precedence
from service.runtime.tenant_turns import TenantTurns

log = logging.getLogger(__name__)

CLOSING_SECONDS = 30.0
"""How long the child may take to end what it reads: longer than any read."""

TENANT_CALLS = 2
"""Calls of one tenant that the child has at once while other tenants ask, too: one ranks while
the other reads. It works on all that it has in turn, so each makes all others slower."""


class Finder:
    """Another process that reads the database, and a searcher; see `ports.search.Searcher`.

    Args:
        child: Answers calls, and searches memories.
        near: Searches while the child cannot: it begins with the first question.
        now: The wall clock as the storage has it, by which the other process judges.
        close_past: What the other process, which only reads, cannot do; see `ports.store`.
        leave: Called when the child answers: what `near` keeps is not needed any more.
        precedence: Taken while the child is at work.
    """

    def __init__(
        self,
        child: Child,
        near: Searcher,
        now: Callable[[], int],
        close_past: Callable[[Principal, int], Awaitable[None]],
        leave: Callable[[], None],
        precedence: Precedence,
    ) -> None:
        self._child = child
        self._near = near
        self._now = now
        self._close_past = close_past
        self._leave = leave
        self._precedence = precedence
        self._turns = TenantTurns(TENANT_CALLS)

    async def answer(self, who: Principal, method: str, request: bytes) -> bytes | None:
        """The answer of one of the contract's methods; None: it cannot be asked now."""
        answer: bytes | None = await self._asked(method, who, request)
        return answer

    async def documents(self, who: Principal, search: DocumentSearch) -> DocumentHits:
        # Only a call that could not be answered in the child comes to this.
        return await self._near.documents(who, search)

    async def memories(self, who: Principal, search: MemorySearch) -> MemoryHits:
        found: MemoryHits | None = await self._asked("memories", who, search)
        return await self._near.memories(who, search) if found is None else found

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """The child reads nothing while the block runs, unless it cannot be asked."""
        try:
            await self._told("close")
            yield
        finally:
            await self._told("open")

    async def _told(self, what: str) -> None:
        """Returns when the child has done it, or cannot."""
        if self._child.ready:
            with suppress(LostError, TimeoutError):
                async with asyncio.timeout(CLOSING_SECONDS):
                    await self._child.ask(pickled((what, None, None, self._now())), again=False)

    async def _asked(self, method: str, who: Principal, asked: bytes | MemorySearch) -> Any:
        """The child's answer, or None."""
        if not self._child.ready:
            self._child.wake()
            return None
        turn = object()
        try:
            await self._turns.begin(who.tenant, turn)
            with self._precedence.taken():
                try:
                    found = await self._child.ask(pickled((method, who, asked, self._now())))
                except OpenTimeError as error:
                    await self._close_past(who, error.instant)
                    found = await self._child.ask(pickled((method, who, asked, self._now())))
        except LostError as error:
            log.warning("a call is answered by the server itself: %s", error)
            return None
        finally:
            self._turns.end(who.tenant, turn)
        self._leave()
        return found
