"""What of a shelf a search may find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.core import filters as f
from service.ports.search import IndexSource, MemorySearch
from service.retrieval.shelves import Shelf
from service.search.columns import Mask
from service.search.scope import Scope
from service.search.segment import Kind


class Masks(Protocol):
    """Where a search learns which rows of a shelf it may find."""

    async def matching(self, tenant: int, shelf: Shelf, tree: f.Filter) -> Mask:
        """(rows,) the items for which a filter is true."""
        ...

    async def in_state(
        self,
        tenant: int,
        shelf: Shelf,
        as_of: int | None,
        wall: int,
        *,
        forgotten: bool,
        history: bool,
    ) -> Mask:
        """(rows,) the memories shown, or also forgotten, or also superseded, at `as_of`, or
        (None) as of now by the wall clock."""
        ...


@dataclass(frozen=True, slots=True)
class BlockMasks:
    """Masks of one block: what is asked for of the storage is asked for its rows alone."""

    source: IndexSource
    documents: Sequence[str]
    memories: Sequence[str]

    async def matching(self, tenant: int, shelf: Shelf, tree: f.Filter) -> Mask:
        owners = await self.source.matching(
            tenant, shelf.container, tree, self.documents, self.memories
        )
        return shelf.segment.rows_of(owners)

    async def in_state(
        self,
        tenant: int,
        shelf: Shelf,
        as_of: int | None,
        wall: int,
        *,
        forgotten: bool,
        history: bool,
    ) -> Mask:
        names = await self.source.in_state(
            tenant,
            shelf.container,
            as_of,
            wall,
            forgotten=forgotten,
            history=history,
            memories=self.memories,
        )
        return shelf.segment.rows_of(names)


class Eligibility(Protocol):
    """Says what one search may find of a shelf."""

    async def __call__(self, shelf: Shelf, masks: Masks) -> Scope: ...


async def eligible_chunks(tenant: int, shelf: Shelf, tree: f.Filter | None, masks: Masks) -> Scope:
    """The chunks of documents for which a filter is true."""
    mask = None if tree is None else await masks.matching(tenant, shelf, tree)
    return Scope(shelf.segment, shelf.segment.eligible_now(Kind.CHUNK, 0, mask))


async def eligible_memories(
    tenant: int, shelf: Shelf, search: MemorySearch, wall: int, masks: Masks
) -> Scope:
    """What SearchMemories may find.

    Args:
        tenant: Whose.
        shelf: Where.
        search: For what, and as of when.
        wall: The wall clock, which says what is shown as of now, in microseconds.
        masks: Where what the shelf does not know is asked for.
    """
    segment = shelf.segment
    mask: Mask | None = None
    if search.filter is not None:
        mask = await masks.matching(tenant, shelf, search.filter)
    if search.include_forgotten or search.include_history:
        stated = await masks.in_state(
            tenant,
            shelf,
            search.as_of,
            wall,
            forgotten=search.include_forgotten,
            history=search.include_history,
        )
        eligible = segment.present(Kind.MEMORY, stated)
        if mask is not None:
            eligible &= mask
    elif search.as_of is None:
        eligible = segment.eligible_now(Kind.MEMORY, wall, mask)
    else:
        eligible = segment.eligible(Kind.MEMORY, search.as_of, mask)
    if search.include_chunks:
        eligible |= segment.eligible_now(Kind.CHUNK, 0, mask)
    return Scope(segment, eligible)
