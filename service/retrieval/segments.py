"""The segments in memory: loaded when first searched, kept true by the change log.

Every search sees each write that was answered before it began, also one of another
process: it applies what the container's changes since the segment's revision name. A
segment that had not changed at the last search is used unverified: whether it is up to
date is checked by the same read that fetches the hits.

All segments together, those that are searched or being loaded too, stay within a byte
budget: the least recently searched ones leave, and what still does not fit is not loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from service.core import filters as f
from service.ports.indexing import BlockCursor, IndexBlock, IndexDelta
from service.ports.search import IndexSource, IndexUsage
from service.retrieval.cached_segment import CachedSegment, add_block, apply_delta
from service.runtime.call_stages import stage
from service.runtime.fairness import FairThreads
from service.search.columns import Mask
from service.search.segment import Segment
from service.search.weights import Calibration

Rows = TypeVar("Rows", IndexBlock, IndexDelta)

Key = tuple[int, str]
"""Tenant and container."""

INLINE_ADDITIONS = 200
"""Up to so many rows are added without a thread."""

BLOCKS_AT_ONCE = 2
"""Blocks of rows that are read and added at a time, over all containers: each takes
up several times its own size until it is in its segment."""

REMEMBERED = 10_000
"""Containers that are not in memory, but of which it is known how much of it they need."""


class NoRoomError(Exception):
    """What is to be searched does not fit into the budget, or not now.

    Args:
        needed: Bytes of memory that it takes at least.
    """

    def __init__(self, needed: int) -> None:
        super().__init__(f"an index of {needed} bytes does not fit into memory")
        self.needed = needed


class Segments:
    """Segments of one vector space.

    Args:
        source: Where their rows are.
        space: The number of the vector space.
        dimension: Of its vectors.
        calibration: Of its embedder.
        budget: Bytes that all segments together may take up.
        threads: Where larger loads are added; tenants take turns.
        inline_additions: Up to so many rows are added without a thread.
    """

    def __init__(
        self,
        source: IndexSource,
        space: int,
        dimension: int,
        calibration: Calibration,
        budget: int,
        threads: FairThreads,
        inline_additions: int = INLINE_ADDITIONS,
    ) -> None:
        self.budget = budget
        self.size = 0
        """Bytes that segments take up."""
        self._source = source
        self._space = space
        self._dimension = dimension
        self._calibration = calibration
        self._threads = threads
        self._inline_additions = inline_additions
        self._locks: dict[Key, _Lock] = {}
        self._held: dict[Key, CachedSegment] = {}
        """Of those that have a lock."""
        self._held_size = 0
        self._idle: OrderedDict[Key, CachedSegment] = OrderedDict()
        """The others, the least recently used first."""
        self._needs: OrderedDict[Key, int] = OrderedDict()
        self._blocks = asyncio.Semaphore(BLOCKS_AT_ONCE)
        self._loads = 0
        self._updates = 0

    def usage(self, streamed: int) -> IndexUsage:
        """What they take up; `streamed` is how many searches found no room."""
        warm = len(self._held) + len(self._idle)
        cold = len(self._needs.keys() - self._held.keys() - self._idle.keys())
        return IndexUsage(self.size, self.budget, warm, cold, self._loads, self._updates, streamed)

    @contextlib.asynccontextmanager
    async def current(
        self, tenant: int, containers: Iterable[str], *, allow_unverified: bool = False
    ) -> AsyncIterator[list[CachedSegment]]:
        """The containers' segments, up to date and exclusively the caller's inside the block.

        Args:
            tenant: Their tenant.
            containers: Their tags.
            allow_unverified: Those that were unchanged the last time are given as they are; the
                caller checks them with `IndexSource.unchanged` or `hydrate`.

        Raises:
            NoRoomError: They cannot all be in memory.
        """
        keys = [(tenant, container) for container in sorted(set(containers))]
        async with contextlib.AsyncExitStack() as held:
            with stage("segments"):
                for key in keys:
                    await held.enter_async_context(self._locked(key))
                self._check_room(keys)
                segments = [
                    self._unverified(key, allow_unverified) or await self._refreshed(key)
                    for key in keys
                ]
            yield segments

    @contextlib.asynccontextmanager
    async def _locked(self, key: Key) -> AsyncIterator[None]:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = _Lock()
            cached = self._idle.pop(key, None)
            if cached is not None:
                self._hold(key, cached)
        lock.users += 1
        try:
            async with lock.lock:
                yield
        finally:
            lock.users -= 1
            if not lock.users:
                del self._locks[key]
                cached = self._held.pop(key, None)
                if cached is not None:
                    self._held_size -= cached.size
                    self._idle[key] = cached
                self._make_room()

    def _check_room(self, keys: Sequence[Key]) -> None:
        """Raises NoRoomError if it is known that these do not fit next to what others hold."""
        there = [self._held.get(key) for key in keys]
        own = sum(cached.size for cached in there if cached is not None)
        needed = own + sum(
            self._needs.get(key, 0)
            for key, cached in zip(keys, there, strict=True)
            if cached is None
        )
        if needed > self.budget - (self._held_size - own):
            raise NoRoomError(needed)

    def _unverified(self, key: Key, allowed: bool) -> CachedSegment | None:
        cached = self._held.get(key)
        if cached is None:
            return None
        cached.unverified = allowed and cached.unchanged
        return cached if cached.unverified else None

    async def _refreshed(self, key: Key) -> CachedSegment:
        tenant, container = key
        cached = self._held.get(key)
        if cached is None:
            return await self._loaded(key)
        known = await self._source.unchanged(tenant, {container: cached.revision})
        cached.unchanged = container in known
        if cached.unchanged:
            cached.revision = known[container]
            return cached
        self._updates += 1
        with self._dropped_if_it_fails(key):
            if await self._catch_up(key, cached):
                return cached
        self._drop(key)
        return await self._loaded(key)

    async def _loaded(self, key: Key) -> CachedSegment:
        """A container's segment, read block by block."""
        self._loads += 1
        while True:
            cached = CachedSegment(key[1], self._empty())
            self._hold(key, cached)
            with self._dropped_if_it_fails(key):
                blocks = await self._read_blocks(key, cached)
                # Several blocks are of different instants.
                if blocks == 1 or await self._catch_up(key, cached, stepwise=True):
                    return cached
            # What changed while it was read is no longer all in the change log.
            self._drop(key)

    async def _read_blocks(self, key: Key, cached: CachedSegment) -> int:
        """Fill an empty segment, true up to the first block's revision; returns the block count."""
        tenant, container = key
        cursor: BlockCursor | None = BlockCursor()
        blocks = 0
        while cursor is not None:
            async with self._blocks:
                block = await self._source.block(tenant, container, cursor, self._space)
                await self._into(key, cached, add_block, block)
            if not blocks:
                cached.revision = block.revision
            blocks += 1
            cursor = block.following
            self._weigh(key, cached, growing=cursor is not None)
        return blocks

    async def _catch_up(self, key: Key, cached: CachedSegment, *, stepwise: bool = False) -> bool:
        """Apply what has changed; False: so much that loading everything costs no more, or
        the change log no longer keeps all of it.

        Args:
            key: Its tenant and container.
            cached: What to bring up to date.
            stepwise: Apply all that is kept, however much it is.
        """
        tenant, container = key
        complete = False
        while not complete:
            async with self._blocks:
                delta = await self._source.delta(
                    tenant, container, cached.revision, self._space, stepwise=stepwise
                )
                if delta.entities is None:
                    return False
                await self._apply(key, cached, delta)
            revision, complete = delta.revision, delta.complete
            while delta.following is not None:
                async with self._blocks:
                    delta = await self._source.more(tenant, container, delta.following, self._space)
                    await self._apply(key, cached, delta)
            cached.revision = revision
        return True

    async def _apply(self, key: Key, cached: CachedSegment, delta: IndexDelta) -> None:
        if delta.entities or delta.memories or delta.chunks:
            await self._into(key, cached, apply_delta, delta)
            await self._patch_masks(key[0], cached, delta)
            self._weigh(key, cached)

    async def _into(
        self,
        key: Key,
        cached: CachedSegment,
        add: Callable[[CachedSegment, Rows], None],
        rows: Rows,
    ) -> None:
        if len(rows.memories) + len(rows.chunks) <= self._inline_additions:
            add(cached, rows)
        else:
            await self._threads.run(key[0], add, cached, rows)

    async def _patch_masks(self, tenant: int, cached: CachedSegment, delta: IndexDelta) -> None:
        segment = cached.segment
        documents = {row.entity for row in delta.chunks}
        memories = {row.id for row in delta.memories}
        for tree in cast("list[f.Filter]", segment.masks()):
            found = await self._source.matching(tenant, cached.container, tree, documents, memories)
            for owner in documents | memories:
                segment.patch_mask(tree, owner, owner in found)

    async def matching(self, tenant: int, cached: CachedSegment, tree: f.Filter) -> Mask:
        """(rows,) the items for which a filter is true."""
        segment = cached.segment
        mask = segment.mask(tree)
        if mask is not None:
            return mask
        owners = await self._source.matching(tenant, cached.container, tree)
        if f.is_volatile(tree):
            return segment.rows_of(owners)
        mask = segment.keep_mask(tree, owners)
        self._charge((tenant, cached.container), cached, cached.nbytes)
        self._make_room()
        return mask

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
        names = await self._source.in_state(
            tenant, cached.container, as_of, wall, forgotten=forgotten, history=history
        )
        return cached.segment.rows_of(names)

    def clear(self) -> bool:
        """Drop all that no search is using; whether there was anything."""
        there = bool(self._idle)
        self.size -= sum(cached.size for cached in self._idle.values())
        self._idle.clear()
        return there

    def learn(self, tenant: int, container: str, needed: int) -> None:
        """Remember how many bytes a container that was not loaded needs."""
        self._needs[tenant, container] = needed
        self._needs.move_to_end((tenant, container))
        if len(self._needs) > REMEMBERED:
            self._needs.popitem(last=False)

    def _empty(self) -> Segment:
        return Segment(self._dimension, self._calibration.neighbourhood)

    def _hold(self, key: Key, cached: CachedSegment) -> None:
        self._held[key] = cached
        self._held_size += cached.size

    def _weigh(self, key: Key, cached: CachedSegment, *, growing: bool = False) -> None:
        """Count what a held segment takes up now.

        Raises:
            NoRoomError: It exceeds the budget even after all idle segments were dropped.
        """
        self._charge(key, cached, cached.nbytes + (cached.segment.growth if growing else 0))
        self._make_room()
        if self.size > self.budget:
            raise NoRoomError(cached.size)

    def _charge(self, key: Key, cached: CachedSegment, size: int) -> None:
        more = size - cached.size
        cached.size = size
        self.size += more
        if key in self._held:
            self._held_size += more

    @contextlib.contextmanager
    def _dropped_if_it_fails(self, key: Key) -> Iterator[None]:
        """Drop a held segment if the block raises: it matches no revision."""
        try:
            yield
        except BaseException:
            self._drop(key)
            raise

    def _drop(self, key: Key) -> None:
        cached = self._held.pop(key)
        self.size -= cached.size
        self._held_size -= cached.size
        self.learn(*key, cached.size)

    def _make_room(self) -> None:
        while self.size > self.budget and self._idle:
            key, cached = self._idle.popitem(last=False)
            self.size -= cached.size
            self.learn(*key, cached.size)


@dataclass(slots=True)
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
