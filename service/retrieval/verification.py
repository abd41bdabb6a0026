"""Which of the ranked hits hold the phrases that a search insists on: read in their texts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from service.runtime.fairness import FairThreads
from service.search.phrases import Phrases
from service.search.ranking import Hit

INLINE_CHARACTERS = 50_000
"""Texts with fewer characters in total are looked through on the event loop: some 5 ms."""

MOST_READ = 256
"""Texts read at once."""

GROWTH = 8
"""So many times as many hits are ranked when too few of those before held the phrases."""

MOST_RANKED_FIRST = 1_000

Texts = Mapping[str, str]
"""By the id of a memory or a chunk."""


class Verification:
    """Tests of one search's hits; each text is read once, however often it is ranked.

    The text of an id never changes.

    Args:
        phrases: What the texts must hold and must not hold.
        limit: How many hits are wanted.
        threads: Where many texts are looked through.
        tenant: Whose they are.
    """

    def __init__(self, phrases: Phrases, limit: int, threads: FairThreads, tenant: int) -> None:
        self._phrases = phrases
        self._limit = limit
        self._threads = threads
        self._tenant = tenant
        self._admitted: dict[str, bool] = {}

    @property
    def ranked_first(self) -> int:
        """How many hits to rank at first."""
        return min(GROWTH * self._limit, MOST_RANKED_FIRST) if self._phrases else self._limit

    async def admitted(
        self, found: Sequence[Hit], read: Callable[[Sequence[Hit]], Awaitable[Texts]]
    ) -> list[Hit]:
        """The best `limit` of some ranked hits that pass.

        Args:
            found: The hits, best first.
            read: Reads their texts, but those that were deleted.
        """
        if not self._phrases:
            return list(found[: self._limit])
        kept: list[Hit] = []
        size, rest = self._limit, list(found)
        while rest and len(kept) < self._limit:
            batch, rest = rest[:size], rest[size:]
            await self._judge(await read([h for h in batch if h.id not in self._admitted]))
            kept += [hit for hit in batch if self._admitted.get(hit.id, False)]
            size = min(2 * size, MOST_READ)
        return kept[: self._limit]

    async def _judge(self, texts: Texts) -> None:
        def judged() -> dict[str, bool]:
            return {name: self._phrases.admit(text) for name, text in texts.items()}

        if sum(map(len, texts.values())) <= INLINE_CHARACTERS:
            self._admitted.update(judged())
        else:
            self._admitted.update(await self._threads.run(self._tenant, judged))
