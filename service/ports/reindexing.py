"""Texts that have to be indexed again, and the protocol that stores the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stale:
    """A text whose index entry is missing or of another space.

    `position` is a chunk's place in the document of this `id`; None: a memory's id.
    """

    tenant: int
    id: str
    position: int | None
    space: int
    text: str
    heading: str = ""
    speaker: str = ""
    instant: int | None = None


class Reindex(Protocol):
    async def stale(self, space: int, limit: int) -> Sequence[Stale]:
        """Up to `limit` texts that are not in the vector space of this number."""
        ...

    async def remaining(self, space: int) -> int:
        """How many texts are not in the vector space of this number."""
        ...

    async def refresh(
        self,
        stale: Sequence[Stale],
        entries: Sequence[bytes],
        vectors: Sequence[bytes],
        space: int,
    ) -> None:
        """Store the new entries, except for texts written or deleted since they were read."""
        ...
