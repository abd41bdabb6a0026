"""A container's segment in memory, and how rows get into it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from service.ports.indexing import IndexBlock, IndexDelta, IndexRow
from service.search.segment import Item, Kind, Segment

_BYTES_PER_VERSION = 400  # of a chain that has more than one: its id and places in sets, about


@dataclass(slots=True)
class Shelf:
    """A container's segment, and how far it is true."""

    container: str
    segment: Segment
    revision: int = 0
    calm: bool = False
    """Nothing was new when it was last asked for."""
    presumed: bool = False
    """For who has it now: it is still to be asked whether it is true."""
    size: int = 0
    """Bytes that count against the budget."""
    chains: dict[str, set[str]] = field(default_factory=dict)
    """By root: the versions of memories that have more than one."""
    versions: int = 0
    """Of all `chains`."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return self.segment.nbytes + _BYTES_PER_VERSION * self.versions


def take_in(shelf: Shelf, delta: IndexDelta) -> None:
    """Make a shelf true up to the delta's revision, as far as its rows go."""
    segment = shelf.segment
    memories = [row for row in delta.memories if row.entry is not None]
    kept = {row.id for row in (*memories, *delta.chunks)}
    for entity in delta.entities or ():
        versions = shelf.chains.pop(entity, set())
        shelf.versions -= len(versions)
        stale = (*segment.ids_of_group(entity), entity, *versions)
        segment.remove(name for name in stale if name not in kept)
    _put(shelf, memories, delta.chunks)


def add(shelf: Shelf, block: IndexBlock) -> None:
    """Add rows that the shelf does not have."""
    _put(shelf, [row for row in block.memories if row.entry is not None], block.chunks)


def _put(shelf: Shelf, memories: Sequence[IndexRow], chunks: Sequence[IndexRow]) -> None:
    for row in memories:
        if row.id != row.entity:
            versions = shelf.chains.setdefault(row.entity, set())
            shelf.versions += row.id not in versions
            versions.add(row.id)
    shelf.segment.put([*_memories(memories), *_chunks(chunks)])


def _memories(rows: Iterable[IndexRow]) -> list[Item]:
    return [
        Item(
            row.id, Kind.MEMORY, row.entry, row.digest, row.vector, shown=row.spans, until=row.until
        )
        for row in rows
        if row.entry is not None
    ]


def _chunks(rows: Iterable[IndexRow]) -> list[Item]:
    return [
        Item(row.id, Kind.CHUNK, row.entry, row.digest, row.vector, row.entity, row.position)
        for row in rows
        if row.entry is not None
    ]
