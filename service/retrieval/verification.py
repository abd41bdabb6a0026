"""Which of the ranked hits hold what a search insists on.

Of its words the index knows it; phrases are looked for in the texts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from service.runtime.fairness import FairThreads
from service.search.entry import TermHasher
from service.search.phrases import Phrases
from service.search.places import Place, without
from service.search.ranking import Hit
from service.search.scope import Scope

INLINE_CHARACTERS = 50_000
"""Texts with fewer characters in total are looked through on the event loop: some 5 ms."""

MOST_READ = 256
"""Texts read at once."""

GROWTH = 8
"""So many times as many hits are ranked when too few of those before held the phrases."""

MOST_RANKED_FIRST = 1_000

_LEADING = 2

Texts: TypeAlias = Mapping[str, str]
"""By the id of a memory or a chunk."""

ReadTexts: TypeAlias = Callable[[Sequence[Hit | Place]], Awaitable[Texts]]
"""Reads the texts of some items, but of those that were deleted."""


class Verification:
    """Tests of one search's hits; each text is read once, however often it is ranked.

    The text of an id never changes.

    Args:
        phrases: What the texts must hold and must not hold.
        limit: How many hits are wanted.
        threads: Where many texts are looked through.
        tenant: Whose they are.
        insist: Whether hits lack none of the query's numbers and codes.
    """

    def __init__(
        self,
        phrases: Phrases,
        limit: int,
        threads: FairThreads,
        tenant: int,
        *,
        insist: bool = False,
    ) -> None:
        self._phrases = phrases
        self._limit = limit
        self._threads = threads
        self._tenant = tenant
        self._insist = insist
        self._admitted: dict[str, bool] = {}
        self._rejected_texts: set[int] = set()
        self.rejected = 0
        """How many were found not to pass."""

    @property
    def ranked_first(self) -> int:
        """How many hits to rank at first."""
        if not self._phrases:
            return self._limit
        return max(self._limit, min(GROWTH * self._limit, MOST_RANKED_FIRST))

    def required(self, hasher: TermHasher) -> list[tuple[int, ...]]:
        """What the index is asked for: for each phrase, the terms that a hit has to have."""
        return self._phrases.required(hasher)

    def narrowed(self, scopes: list[Scope]) -> list[Scope]:
        """The scopes without what is known not to pass."""
        rejected = [name for name, passes in self._admitted.items() if not passes]
        return without(scopes, rejected, self._rejected_texts) if rejected else scopes

    async def judge(self, items: Sequence[Place], read: ReadTexts) -> None:
        """Test all of these items, those that were not before."""
        left = [item for item in items if item.id not in self._admitted]
        for start in range(0, len(left) if self._phrases else 0, MOST_READ):
            await self._judge(await read(left[start : start + MOST_READ]))

    async def admitted(self, found: Sequence[Hit], read: ReadTexts) -> list[Hit]:
        """The best `limit` of some ranked hits that pass; they are ordered, best first."""
        return await self._passing(
            [hit for hit in found if not (self._insist and hit.lacking)], self._limit, read
        )

    async def knows_leading(self, ranked: Sequence[Hit], read: ReadTexts) -> bool:
        """Test the best two of all ranked hits: how far they lie apart is part of each score.

        Returns whether both are known to pass.
        """
        return not self._phrases or len(await self._passing(ranked, _LEADING, read)) == _LEADING

    async def _passing(self, hits: Sequence[Hit], count: int, read: ReadTexts) -> list[Hit]:
        """The first `count` that pass."""
        if not self._phrases:
            return list(hits[:count])
        kept: list[Hit] = []
        rest, size = hits, count
        while rest and len(kept) < count:
            batch, rest = rest[:size], rest[size:]
            new = [hit for hit in batch if hit.id not in self._admitted]
            if new:
                await self._judge(await read(new))
            kept += [hit for hit in batch if self._admitted.get(hit.id, False)]
            size = min(2 * size, MOST_READ)
        return kept[:count]

    async def _judge(self, texts: Texts) -> None:
        def judged() -> dict[str, bool]:
            return {name: self._phrases.admit(text) for name, text in texts.items()}

        if sum(map(len, texts.values())) <= INLINE_CHARACTERS:
            new = judged()
        else:
            new = await self._threads.run(self._tenant, judged)
        self._admitted.update(new)
        self.rejected += len(new) - sum(new.values())
