"""The segments in memory: loaded when first searched, kept true by the change log.

Every search sees each write that was answered before it began, also one of another
process: it applies what the container's changes since the segment's revision name. Where
nothing was new the last time, it presumes that nothing is, and asks when it reads what it
found. The least recently searched segments leave under a byte
budget; one that is larger than the budget leaves after its search.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from service.core import filters as f
from service.core.fairness import FairThreads
from service.core.indexing import IndexDelta, IndexRow
from service.core.search import IndexSource
from service.search.columns import Mask
from service.search.segment import Item, Kind, Segment
from service.search.weights import Calibration

Key = tuple[int, str]
"""Tenant and container."""

SMALL = 200
"""Rows that are taken in at once, without a thread."""


@dataclass(slots=True)
class Shelf:
    """A container's segment, and how far it is true."""

    container: str
    segment: Segment
    revision: int | None = None
    calm: bool = False
    """Nothing was new when it was last asked for."""
    presumed: bool = False
    """For who has it now: it is still to be asked whether it is true."""
    size: int = 0
    chains: dict[str, set[str]] = field(default_factory=dict)
    """By root: the versions of memories that have more than one."""


class Segments:
    """Segments of one vector space.

    Args:
        source: Where their rows are.
        space: The number of the vector space.
        dimension: Of its vectors.
        calibration: Of its embedder.
        budget: Bytes that all segments together may keep.
        threads: Where larger loads are taken in.
    """

    def __init__(
        self,
        source: IndexSource,
        space: int,
        dimension: int,
        calibration: Calibration,
        budget: int,
        threads: FairThreads,
    ) -> None:
        self._source = source
        self._space = space
        self._dimension = dimension
        self._calibration = calibration
        self._budget = budget
        self._threads = threads
        self._shelves: OrderedDict[Key, Shelf] = OrderedDict()
        self._locks: dict[Key, _Lock] = {}
        self.size = 0

    @contextlib.asynccontextmanager
    async def current(
        self, tenant: int, containers: Iterable[str], *, presume: bool = False
    ) -> AsyncIterator[list[Shelf]]:
        """The containers' shelves, true as of now and the caller's alone inside.

        Args:
            presume: Calm ones as they are; the caller asks whether they are `unchanged`.
        """
        keys = [(tenant, container) for container in sorted(set(containers))]
        async with contextlib.AsyncExitStack() as held:
            for key in keys:
                await held.enter_async_context(self._locked(key))
            yield [self._presumed(key, presume) or await self._refreshed(key) for key in keys]

    @contextlib.asynccontextmanager
    async def _locked(self, key: Key) -> AsyncIterator[None]:
        lock = self._locks.setdefault(key, _Lock())
        lock.users += 1
        try:
            async with lock.lock:
                yield
        finally:
            lock.users -= 1
            self._weigh(key)
            if not lock.users:
                del self._locks[key]
                self._make_room()

    def _presumed(self, key: Key, presume: bool) -> Shelf | None:
        shelf = self._shelves.get(key)
        if shelf is None:
            return None
        self._shelves.move_to_end(key)
        shelf.presumed = presume and shelf.calm
        return shelf if shelf.presumed else None

    async def _refreshed(self, key: Key) -> Shelf:
        tenant, container = key
        shelf = self._shelves.get(key)
        if shelf is None:
            shelf = Shelf(container, self._empty())
        elif shelf.revision is not None:
            known = await self._source.unchanged(tenant, {container: shelf.revision})
            shelf.calm = container in known
            if shelf.calm:
                shelf.revision = known[container]
                return shelf
        delta = await self._source.delta(tenant, container, shelf.revision, self._space)
        if delta.entities is None:
            shelf = Shelf(container, self._empty())
        if delta.entities is None or delta.entities:
            try:
                await self._taken_in(tenant, shelf, delta)
            except BaseException:
                self._drop(key)
                raise
            await self._patch_masks(tenant, shelf, delta)
        shelf.revision = delta.revision
        self._drop(key)
        self._shelves[key] = shelf
        self._weigh(key)
        return shelf

    def _weigh(self, key: Key) -> None:
        """A shelf's size as it is now: searches keep masks, too."""
        shelf = self._shelves.get(key)
        if shelf is not None:
            size = shelf.segment.nbytes
            self.size += size - shelf.size
            shelf.size = size

    async def _taken_in(self, tenant: int, shelf: Shelf, delta: IndexDelta) -> None:
        if len(delta.memories) + len(delta.chunks) <= SMALL:
            take_in(shelf, delta)
        else:
            await self._threads.run(tenant, take_in, shelf, delta)

    async def _patch_masks(self, tenant: int, shelf: Shelf, delta: IndexDelta) -> None:
        segment = shelf.segment
        documents = {row.entity for row in delta.chunks}
        memories = {row.id for row in delta.memories}
        for tree in cast("list[f.Filter]", segment.masks()):
            found = await self._source.matching(tenant, shelf.container, tree, documents, memories)
            for owner in documents | memories:
                segment.patch_mask(tree, owner, owner in found)

    async def matching(self, tenant: int, shelf: Shelf, tree: f.Filter) -> Mask:
        """(rows,) the items for which a filter is true."""
        segment = shelf.segment
        mask = segment.mask(tree)
        if mask is not None:
            return mask
        owners = await self._source.matching(tenant, shelf.container, tree)
        if f.is_volatile(tree):
            return segment.rows_of(owners)
        return segment.keep_mask(tree, owners)

    def clear(self) -> bool:
        """Forget all that nobody is searching; whether there was anything."""
        idle = [key for key in self._shelves if key not in self._locks]
        for key in idle:
            self._drop(key)
        return bool(idle)

    def _empty(self) -> Segment:
        return Segment(self._dimension, self._calibration.neighbourhood)

    def _drop(self, key: Key) -> None:
        shelf = self._shelves.pop(key, None)
        if shelf is not None:
            self.size -= shelf.size
            shelf.size = 0

    def _make_room(self) -> None:
        for key in list(self._shelves):
            if self.size <= self._budget:
                return
            if key not in self._locks:
                self._drop(key)


@dataclass(slots=True)
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


def take_in(shelf: Shelf, delta: IndexDelta) -> None:
    """Make a shelf true up to the delta's revision."""
    segment = shelf.segment
    memories = [row for row in delta.memories if row.entry is not None]
    if delta.entities is not None:
        kept = {row.id for row in (*memories, *delta.chunks)}
        for entity in delta.entities:
            stale = (*segment.ids_of_group(entity), entity, *shelf.chains.pop(entity, ()))
            segment.remove(name for name in stale if name not in kept)
    for row in memories:
        if row.id != row.entity:
            shelf.chains.setdefault(row.entity, set()).add(row.id)
    segment.put([*_memories(memories), *_chunks(delta.chunks)])


def _memories(rows: Sequence[IndexRow]) -> list[Item]:
    return [
        Item(
            row.id, Kind.MEMORY, row.entry, row.digest, row.vector, shown=row.spans, until=row.until
        )
        for row in rows
        if row.entry is not None
    ]


def _chunks(rows: Sequence[IndexRow]) -> list[Item]:
    return [
        Item(row.id, Kind.CHUNK, row.entry, row.digest, row.vector, row.entity, row.position)
        for row in rows
        if row.entry is not None
    ]
