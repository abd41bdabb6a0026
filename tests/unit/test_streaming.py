"""A search of what does not fit into memory takes as much of it for a large container as
for a small one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from service.core.times import FOREVER
from service.ports.indexing import BlockCursor, IndexBlock
from service.ports.search import MemorySearch
from service.retrieval.cached_segment import CachedSegment
from service.retrieval.eligibility import Masks, eligible_chunks, eligible_memories
from service.retrieval.streaming import Ranked, Streaming
from service.runtime.fairness import FairThreads
from service.search.hashed_query import HashedQuery, hash_query
from service.search.ranking import Ranking
from service.search.scope import Scope
from service.search.speakers import Name
from service.search.weights import STATIC
from tests.unit.test_segments import DIMENSION, HASHER, PER_BLOCK, SPACE, Source, row

pytestmark = pytest.mark.slow


class Endless(Source):
    """Containers whose rows are made as they are read, and held by nobody else."""

    def __init__(self, count: int) -> None:
        super().__init__({})
        self._count = count

    async def block(
        self,
        tenant: int,
        container: str,
        cursor: BlockCursor,
        embedder: int | None,
        *,
        without: Sequence[str] = (),
    ) -> IndexBlock:
        self.blocks += 1
        start = int((cursor.memory or "m-0").removeprefix("m-"))
        end = min(start + PER_BLOCK, self._count)
        rows = [
            # Few words: those that were seen are remembered.
            row(f"m-{number:06}", "a violin" if number == 42 else f"note {number % 50}")
            for number in range(start + 1, end + 1)
        ]
        following = BlockCursor(f"m-{end:06}") if end < self._count else None
        return IndexBlock(self.revision, rows, (), following)


async def search(count: int) -> tuple[Ranked, int, int]:
    """What is found among so many, blocks read, and the most memory that it took."""
    source = Endless(count)
    asked = MemorySearch("violin", ("a",), limit=5)

    async def eligible(cached: CachedSegment, masks: Masks) -> Scope:
        return await eligible_memories(1, cached, asked, 1, masks)

    async def embedded(query: HashedQuery, named: Iterable[Name]) -> HashedQuery:
        return query.near([1.0] * DIMENSION)

    with closing(FairThreads(1, 1, "test")) as threads:
        streaming = Streaming(source, SPACE, DIMENSION, STATIC, threads)
        ranking = Ranking(hash_query(asked.query, HASHER), STATIC, asked.limit)
        tracemalloc.start()
        try:
            ranked = await streaming.rank(1, ["a"], eligible, ranking, embedded)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    return ranked, source.blocks, most


async def test_memory_does_not_grow_with_the_container() -> None:
    await search(2 * PER_BLOCK)  # What is made once (caches, modules) is there now.
    small, few, least = await search(3 * PER_BLOCK)
    large, many, most = await search(30 * PER_BLOCK)

    assert (few, many) == (3 * 3, 3 * 30)
    assert len(small.hits) == len(large.hits) == 5
    assert small.hits[0].id == large.hits[0].id == "m-000042"
    assert most < 2 * least
    assert large.sizes[0] > 7 * small.sizes[0]
    assert large.revision == 1


async def test_where_nothing_is_eligible_nothing_is_embedded() -> None:
    async def nothing(cached: CachedSegment, masks: Masks) -> Scope:
        return await eligible_chunks(1, cached, None, masks)

    async def embedded(query: HashedQuery, named: Iterable[Name]) -> HashedQuery:
        raise AssertionError

    source = Endless(2 * PER_BLOCK)
    with closing(FairThreads(1, 1, "test")) as threads:
        streaming = Streaming(source, SPACE, DIMENSION, STATIC, threads)
        ranking = Ranking(hash_query("note", HASHER), STATIC, 5)
        ranked = await streaming.rank(1, ["a"], nothing, ranking, embedded)

    assert list(ranked.hits) == []
    assert source.blocks == 2


class Timed(Endless):
    """Memories that a clock which was ahead has written, some with a scheduled end."""

    async def block(
        self,
        tenant: int,
        container: str,
        cursor: BlockCursor,
        embedder: int | None,
        *,
        without: Sequence[str] = (),
    ) -> IndexBlock:
        made = await super().block(tenant, container, cursor, embedder, without=without)
        rows = [
            replace(one, spans=((1000, FOREVER),), until=50 if number % 2 else FOREVER)
            for number, one in enumerate(made.memories)
        ]
        return replace(made, memories=rows)


@pytest.mark.parametrize(
    ("as_of", "wall", "found"),
    [(None, 49, 30), (None, 50, 15), (999, 49, 0), (1000, 49, 30)],
)
async def test_only_the_past_is_judged_by_the_times_of_writes(
    as_of: int | None, wall: int, found: int
) -> None:
    asked = MemorySearch("note", ("a",), limit=50, as_of=as_of)

    async def eligible(cached: CachedSegment, masks: Masks) -> Scope:
        return await eligible_memories(1, cached, asked, wall, masks)

    async def embedded(query: HashedQuery, named: Iterable[Name]) -> HashedQuery:
        return query.near([1.0] * DIMENSION)

    with closing(FairThreads(1, 1, "test")) as threads:
        streaming = Streaming(Timed(30), SPACE, DIMENSION, STATIC, threads)
        ranking = Ranking(hash_query(asked.query, HASHER), STATIC, asked.limit)
        ranked = await streaming.rank(1, ["a"], eligible, ranking, embedded)

    assert len(ranked.hits) == found
