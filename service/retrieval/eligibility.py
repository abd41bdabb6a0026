"""Which rows of a segment a search may find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.core import filters as f
from service.ports.search import IndexSource, MemorySearch
from service.retrieval.cached_segment import CachedSegment
from service.search.columns import Mask
from service.search.scope import Scope
from service.search.segment import ItemKind
from service.search.speakers import Name


class Masks(Protocol):
    """Supplies the row masks that a search is limited to."""

    async def matching(self, tenant: int, cached: CachedSegment, tree: f.Filter) -> Mask:
        """(rows,) the items for which a filter is true."""
        ...

    async def in_state(
        self,
        tenant: int,
        cached: CachedSegment,
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
    """Masks of one block: the storage is asked about its rows alone."""

    source: IndexSource
    documents: Sequence[str]
    memories: Sequence[str]

    async def matching(self, tenant: int, cached: CachedSegment, tree: f.Filter) -> Mask:
        owners = await self.source.matching(
            tenant, cached.container, tree, self.documents, self.memories
        )
        return cached.segment.rows_of(owners)

    async def in_state(
        self,
        tenant: int,
        cached: CachedSegment,
        as_of: int | None,
        wall: int,
        *,
        forgotten: bool,
        history: bool,
    ) -> Mask:
        names = await self.source.in_state(
            tenant,
            cached.container,
            as_of,
            wall,
            forgotten=forgotten,
            history=history,
            memories=self.memories,
        )
        return cached.segment.rows_of(names)


class Eligibility(Protocol):
    """Says what one search may find of a segment."""

    async def __call__(self, cached: CachedSegment, masks: Masks) -> Scope: ...


async def eligible_chunks(
    tenant: int, cached: CachedSegment, tree: f.Filter | None, masks: Masks
) -> Scope:
    """The chunks of documents for which a filter is true."""
    mask = None if tree is None else await masks.matching(tenant, cached, tree)
    return Scope(cached.segment, cached.segment.eligible_now(ItemKind.CHUNK, 0, mask))


async def eligible_memories(
    tenant: int,
    cached: CachedSegment,
    search: MemorySearch,
    wall: int,
    masks: Masks,
    excluded: Sequence[Name] = (),
) -> Scope:
    """What SearchMemories may find.

    Args:
        tenant: The tenant.
        cached: The segment.
        search: The request.
        wall: The wall clock, which says what is shown as of now, in microseconds.
        masks: Supplies what the segment does not know itself.
        excluded: Speakers whose chunks are not found.
    """
    segment = cached.segment
    mask: Mask | None = None
    if search.filter is not None:
        mask = await masks.matching(tenant, cached, search.filter)
    if search.include_forgotten or search.include_history:
        stated = await masks.in_state(
            tenant,
            cached,
            search.as_of,
            wall,
            forgotten=search.include_forgotten,
            history=search.include_history,
        )
        eligible = segment.present(ItemKind.MEMORY, stated)
        if mask is not None:
            eligible &= mask
    elif search.as_of is None:
        eligible = segment.eligible_now(ItemKind.MEMORY, wall, mask)
    else:
        eligible = segment.eligible(ItemKind.MEMORY, search.as_of, mask)
    if not search.include_chunks:
        return Scope(segment, eligible)
    chunks = segment.eligible_now(ItemKind.CHUNK, 0, mask)
    hidden: Mask | None = None
    for name in excluded:
        said = chunks & segment.said_by(name)
        hidden = said if hidden is None else hidden | said
    return Scope(segment, eligible | chunks, hidden)
