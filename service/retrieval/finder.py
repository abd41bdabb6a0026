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
        near: Searches if the child cannot.
        now: The time as the storage has it, which the other process cannot know.
        precedence: Taken while a search runs.
    """

    def __init__(
        self, child: Child, near: Searcher, now: Callable[[], int], precedence: Precedence
    ) -> None:
        self._child = child
        self._near = near
        self._now = now
        self._precedence = precedence

    async def documents(self, who: Principal, search: DocumentSearch) -> DocumentHits:
        try:
            found: DocumentHits = await self._found("documents", who, search)
        except LostError as error:
            log.warning("a search is done in the server itself: %s", error)
            found = await self._near.documents(who, search)
        return found

    async def memories(self, who: Principal, search: MemorySearch) -> MemoryHits:
        try:
            found: MemoryHits = await self._found("memories", who, search)
        except LostError as error:
            log.warning("a search is done in the server itself: %s", error)
            found = await self._near.memories(who, search)
        return found

    async def _found(
        self, method: str, who: Principal, search: DocumentSearch | MemorySearch
    ) -> Any:
        with self._precedence.taken():
            return await self._child.ask(pickled((method, who, search, self._now())))
