"""A container's segment in memory, and how rows get into it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from service.ports.indexing import IndexBlock, IndexDelta, IndexRow
from service.search.segment import Item, ItemKind, Segment

_BYTES_PER_VERSION = 400  # of a chain that has more than one: its id and places in sets, about


@dataclass(slots=True)
class CachedSegment:
    """A container's segment, and up to which revision it is true."""

    container: str
    segment: Segment
    revision: int = 0
    unchanged: bool = False
    """Nothing had changed when it was last brought up to date."""
    unverified: bool = False
    """Given out without a check: its user still has to check that it is up to date."""
    size: int = 0
    """Bytes that count against the budget."""
    chains: dict[str, set[str]] = field(default_factory=dict)
    """By root: the versions of memories that have more than one."""
    versions: int = 0
    """Of all `chains`."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes, approximately."""
        return self.segment.nbytes + _BYTES_PER_VERSION * self.versions


def apply_delta(cached: CachedSegment, delta: IndexDelta) -> None:
    """Apply the rows of a delta. Setting the revision is left to the caller."""
    segment = cached.segment
    memories = [row for row in delta.memories if row.entry is not None]
    kept = {row.id for row in (*memories, *delta.chunks)}
    for entity in delta.entities or ():
        versions = cached.chains.pop(entity, set())
        cached.versions -= len(versions)
        stale = (*segment.ids_of_group(entity), entity, *versions)
        segment.remove(name for name in stale if name not in kept)
    _put(cached, memories, delta.chunks)


def add_block(cached: CachedSegment, block: IndexBlock) -> None:
    """Add rows that the segment does not have."""
    _put(cached, [row for row in block.memories if row.entry is not None], block.chunks)


def _put(cached: CachedSegment, memories: Sequence[IndexRow], chunks: Sequence[IndexRow]) -> None:
    for row in memories:
        if row.id != row.entity:
            versions = cached.chains.setdefault(row.entity, set())
            cached.versions += row.id not in versions
            versions.add(row.id)
    cached.segment.put([*_memories(memories), *_chunks(chunks)])


def _memories(rows: Iterable[IndexRow]) -> list[Item]:
    return [
        Item(
            row.id,
            ItemKind.MEMORY,
            row.entry,
            row.digest,
            row.vector,
            shown=row.spans,
            until=row.until,
        )
        for row in rows
        if row.entry is not None
    ]


def _chunks(rows: Iterable[IndexRow]) -> list[Item]:
    return [
        Item(row.id, ItemKind.CHUNK, row.entry, row.digest, row.vector, row.entity, row.position)
        for row in rows
        if row.entry is not None
    ]
