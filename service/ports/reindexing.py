"""Texts that have to be indexed again, and the protocol that stores the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stale:
    """A text whose index entry is missing, of another space, or of an older analysis.

    `position` is a chunk's place in the document of this `id`; None: a memory's id.
    `space` and `version` are those of the entry that it has; 0: it has none.
    """

    tenant: int
    id: str
    position: int | None
    space: int
    version: int
    text: str
    heading: str = ""
    speaker: str = ""
    instant: int | None = None
    offset: int | None = None


class Reindex(Protocol):
    async def stale(self, space: int, version: int, limit: int) -> Sequence[Stale]:
        """Up to `limit` texts that are not in the vector space of this number, or whose entry
        is of an analysis before this version."""
        ...

    async def outdated(
        self, space: int, version: int, limit: int, *, elsewhere: bool = False
    ) -> Sequence[Stale]:
        """Up to `limit` texts whose entry is of an analysis before this version, and whose
        vector may stay as it is.

        Args:
            space: The number of their vector space.
            version: Of the analysis.
            limit: How many.
            elsewhere: Those of all other spaces instead, and those without a vector.
        """
        ...

    async def remaining(self, space: int, version: int) -> int:
        """How many texts are `stale`."""
        ...

    async def refresh(
        self,
        stale: Sequence[Stale],
        entries: Sequence[bytes],
        vectors: Sequence[bytes] | None,
        space: int,
    ) -> None:
        """Store the new entries, except for texts written, indexed or deleted since they were
        read.

        Args:
            stale: The texts.
            entries: Of each.
            vectors: Of each; None: they keep what they have, and stay in their space.
            space: The vectors'.
        """
        ...
