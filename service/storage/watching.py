"""Waking the watchers of a document, or of all that a tenant changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from itertools import chain

POLL_SECONDS = 1.0
"""A change made by another process is seen after this long at most."""


ANYTHING = ""
"""Takes the place of every id of a tenant."""


class Watcher:
    """Set whenever what is watched changes."""

    def __init__(self, poll_seconds: float) -> None:
        self._event = asyncio.Event()
        self._poll_seconds = poll_seconds

    def wake(self) -> None:
        self._event.set()

    async def changed(self) -> None:
        """Wait for a change, or for the time to check for one made by another process."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                await self._event.wait()
        self._event.clear()


class Watchers:
    """The watchers, by (tenant, id).

    Args:
        poll_seconds: How long each waits at most before it looks by itself.
    """

    def __init__(self, poll_seconds: float = POLL_SECONDS) -> None:
        self._poll_seconds = poll_seconds
        self._watching: dict[tuple[int, str], set[Watcher]] = {}

    @property
    def idle(self) -> bool:
        """Whether there are no watchers."""
        return not self._watching

    def count(self, tenant: int) -> int:
        """How many watch all of a tenant."""
        return len(self._watching.get((tenant, ANYTHING), ()))

    @contextlib.contextmanager
    def watching(self, tenant: int, entity_id: str = ANYTHING) -> Iterator[Watcher]:
        """A watcher of one id, or of every one that the tenant has."""
        key = (tenant, entity_id)
        watcher = Watcher(self._poll_seconds)
        self._watching.setdefault(key, set()).add(watcher)
        try:
            yield watcher
        finally:
            self._watching[key].discard(watcher)
            if not self._watching[key]:
                del self._watching[key]

    def notify(self, changed: Iterable[tuple[int, str]]) -> None:
        """Called after the commit that changed these."""
        if not self._watching:
            return
        keys = set(changed)
        unnamed = {tenant for tenant, entity_id in keys if entity_id == ANYTHING}
        if unnamed:
            keys.update(key for key in self._watching if key[0] in unnamed)
        keys |= {(tenant, ANYTHING) for tenant, _ in keys}
        for watcher in chain.from_iterable(self._watching.get(key, ()) for key in keys):
            watcher.wake()
