"""Searches in a child process: no call waits for a search, nor a search for other calls."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from service.children import Child, LostError, pickled
from service.core.model import Principal
from service.core.precedence import Precedence
from service.core.search import (
    DocumentHits,
    DocumentSearch,
    MemoryHits,
    MemorySearch,
    Searcher,
)

log = logging.getLogger(__name__)


class Finder:
    """A searcher in another process; see `core.search.Searcher`.

    Args:
        child: Answers what a method of this name answers.
        near: Searches while the child cannot: it begins with the first search.
        now: The time as the storage has it, which the other process cannot know.
        leave: Called when the child searches: what `near` keeps is not needed any more.
        precedence: Taken while a search runs.
    """

    def __init__(
        self,
        child: Child,
        near: Searcher,
        now: Callable[[], int],
        leave: Callable[[], None],
        precedence: Precedence,
    ) -> None:
        self._child = child
        self._near = near
        self._now = now
        self._leave = leave
        self._precedence = precedence

    async def documents(self, who: Principal, search: DocumentSearch) -> DocumentHits:
        found: DocumentHits | None = await self._asked("documents", who, search)
        return await self._near.documents(who, search) if found is None else found

    async def memories(self, who: Principal, search: MemorySearch) -> MemoryHits:
        found: MemoryHits | None = await self._asked("memories", who, search)
        return await self._near.memories(who, search) if found is None else found

    async def _asked(
        self, method: str, who: Principal, search: DocumentSearch | MemorySearch
    ) -> Any:
        """The child's answer, or None."""
        if not self._child.ready:
            self._child.wake()
            return None
        try:
            with self._precedence.taken():
                found = await self._child.ask(pickled((method, who, search, self._now())))
        except LostError as error:
            log.warning("a search is done in the server itself: %s", error)
            return None
        self._leave()
        return found
