"""A search of what does not fit into memory takes as much of it for a large container as
for a small one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from service.core.indexing import BlockCursor, IndexBlock
from service.core.search import MemorySearch
from service.retrieval.eligibility import Masks, eligible_chunks, eligible_memories
from service.retrieval.shelves import Shelf
from service.retrieval.streaming import Ranked, Streaming
from service.search.query import Query, make_query
from service.search.ranking import Ranking
from service.search.scope import Scope
from service.search.speakers import Name
from service.search.weights import STATIC
from tests.unit.test_segments import DIMENSION, HASHER, PER_BLOCK, SPACE, Source, row


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

    async def eligible(shelf: Shelf, masks: Masks) -> Scope:
        return await eligible_memories(1, shelf, asked, 1, masks)

    async def embedded(query: Query, named: Iterable[Name]) -> Query:
        return query.near([1.0] * DIMENSION)

    with ThreadPoolExecutor(1) as threads:
        streaming = Streaming(source, SPACE, DIMENSION, STATIC, threads)
        ranking = Ranking(make_query(asked.query, HASHER), STATIC, asked.limit)
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
    async def nothing(shelf: Shelf, masks: Masks) -> Scope:
        return await eligible_chunks(1, shelf, None, masks)

    async def embedded(query: Query, named: Iterable[Name]) -> Query:
        raise AssertionError

    source = Endless(2 * PER_BLOCK)
    with ThreadPoolExecutor(1) as threads:
        streaming = Streaming(source, SPACE, DIMENSION, STATIC, threads)
        ranking = Ranking(make_query("note", HASHER), STATIC, 5)
        ranked = await streaming.rank(1, ["a"], nothing, ranking, embedded)

    assert list(ranked.hits) == []
    assert source.blocks == 2
