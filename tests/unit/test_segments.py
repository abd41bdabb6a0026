"""What is kept of the segments: bounded memory, and an upkeep that does not grow with them."""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest

from service.core.filters import Filter
from service.core.model import Principal
from service.ports.indexing import (
    BlockCursor,
    DeltaCursor,
    IndexBlock,
    IndexDelta,
    IndexRow,
)
from service.ports.search import Hydrated, HydrationRequest
from service.retrieval.segments import BLOCKS_AT_ONCE, NoRoomError, Segments
from service.runtime.fairness import FairThreads
from service.search.analysis import analyse
from service.search.entry import TermHasher, encode_entries, encode_vectors
from service.search.segment import ALWAYS
from service.search.weights import STATIC

SPACE = 1
DIMENSION = 64
PER_BLOCK = 100
HASHER = TermHasher(b"a secret of the tests")


def row(name: str, text: str = "") -> IndexRow:
    (entry,) = encode_entries([analyse(text or f"{name} is a note")], HASHER)
    (vector,) = encode_vectors(np.ones((1, DIMENSION), np.float32))
    digest = blake2b(name.encode(), digest_size=8).digest()
    return IndexRow(name, name, 1, entry, vector, digest, ALWAYS)


class Source:
    """Containers of so many memories, read in blocks; what was written since is a delta."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.rows = {tag: [row(f"{tag}-{n:06}") for n in range(n)] for tag, n in sizes.items()}
        self.written: list[tuple[int, str, IndexRow]] = []
        self.revision = 1
        self.oldest = 1
        """Of the changes that are kept."""
        self.blocks = self.reading = self.most_reading = 0
        self.third = asyncio.Event()

    def write(self, tag: str, name: str) -> None:
        self.revision += 1
        self.written.append((self.revision, tag, row(name)))

    async def unchanged(self, tenant: int, known: Mapping[str, int]) -> Mapping[str, int]:
        since = {tag: revision for revision, tag, _ in self.written}
        return {tag: self.revision for tag, after in known.items() if since.get(tag, 0) <= after}

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
        if self.blocks == 3:
            self.third.set()
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        await asyncio.sleep(0)
        self.reading -= 1
        left = [one for one in self.rows.get(container, ()) if one.id > (cursor.memory or "")]
        following = BlockCursor(left[PER_BLOCK - 1].id) if len(left) > PER_BLOCK else None
        return IndexBlock(self.revision, left[:PER_BLOCK], (), following)

    async def delta(
        self, tenant: int, container: str, after: int, embedder: int, *, stepwise: bool = False
    ) -> IndexDelta:
        if after + 1 < self.oldest:
            return IndexDelta(self.revision, None)
        rows = [one for revision, tag, one in self.written if tag == container and revision > after]
        return IndexDelta(self.revision, frozenset(one.entity for one in rows), rows)

    async def more(
        self, tenant: int, container: str, cursor: DeltaCursor, embedder: int
    ) -> IndexDelta:
        raise NotImplementedError

    async def matching(
        self,
        tenant: int,
        container: str,
        tree: Filter,
        documents: Iterable[str] | None = None,
        memories: Iterable[str] | None = None,
    ) -> set[str]:
        raise NotImplementedError

    async def in_state(
        self,
        tenant: int,
        container: str,
        as_of: int | None,
        wall: int,
        *,
        forgotten: bool,
        history: bool,
        memories: Iterable[str] | None = None,
    ) -> set[str]:
        raise NotImplementedError

    async def hydrate(self, principal: Principal, wanted: HydrationRequest) -> Hydrated:
        raise NotImplementedError

    def now(self) -> int:
        return 1


@contextmanager
def segments_of(source: Source, budget: int) -> Iterator[Segments]:
    with closing(FairThreads(1, 1, "test")) as threads:
        yield Segments(source, SPACE, DIMENSION, STATIC, budget, threads)


async def size_of(source: Source, *tags: str) -> int:
    """What these containers take up together where there is room."""
    with segments_of(source, 1 << 40) as segments:
        async with segments.current(1, tags):
            return segments.size


class Watched(Segments):
    """Notes the most that it ever took up."""

    most = 0

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "size":
            self.most = max(self.most, value)


async def test_the_least_recently_searched_leave_first() -> None:
    source = Source(dict.fromkeys("abc", 150))
    with segments_of(source, 5 * await size_of(source, "a") // 2) as segments:
        source.blocks = 0
        for tags in ("a", "b", "a", "c", "a"):
            async with segments.current(1, tags):
                pass
        assert source.blocks == 2 * 3
        async with segments.current(1, "b"):
            pass
        assert source.blocks == 2 * 4
        assert segments.size <= segments.budget


async def test_what_is_larger_than_the_budget_is_not_loaded_and_tried_once() -> None:
    source = Source({"large": 2000, "small": 50})
    budget = await size_of(source, "large") // 2
    with segments_of(source, budget) as segments:
        async with segments.current(1, ["small"]):
            pass
        source.blocks = 0
        for _ in range(3):
            with pytest.raises(NoRoomError) as refused:
                async with segments.current(1, ["large"]):
                    pass
            assert refused.value.needed > budget
            assert segments.size <= budget
        assert 5 < source.blocks < 15
        async with segments.current(1, ["small"]) as (cached,):
            assert len(cached.segment) == 50


async def test_a_container_that_has_become_small_is_loaded_again() -> None:
    source = Source({"a": 2000})
    with segments_of(source, await size_of(source, "a") // 2) as segments:
        with pytest.raises(NoRoomError):
            async with segments.current(1, "a"):
                pass
        source.rows["a"] = source.rows["a"][:10]
        segments.learn(1, "a", 10_000)
        async with segments.current(1, "a") as (cached,):
            assert len(cached.segment) == 10


async def test_containers_that_do_not_fit_together_are_not_held_together() -> None:
    source = Source(dict.fromkeys("abcd", 400))
    with segments_of(source, 2 * await size_of(source, "a")) as segments:
        for _ in range(3):
            with pytest.raises(NoRoomError):
                async with segments.current(1, "abcd"):
                    pass
            assert segments.size <= segments.budget
        async with segments.current(1, "a"):
            pass


async def test_many_loads_at_once_stay_within_the_budget() -> None:
    tags = [f"c{n}" for n in range(24)]
    source = Source(dict.fromkeys(tags, 500))
    each = await size_of(source, "c0")
    budget = 3 * each
    source.most_reading = 0
    with closing(FairThreads(2, 2, "test")) as threads:
        segments = Watched(source, SPACE, DIMENSION, STATIC, budget, threads)
        refused = found = 0

        async def search(tag: str) -> None:
            nonlocal refused, found
            try:
                async with segments.current(1, [tag]) as (cached,):
                    assert len(cached.segment) == 500
                    assert segments.size <= budget
                    found += 1
            except NoRoomError:
                refused += 1

        await asyncio.gather(*(search(tag) for tag in tags))
        assert found + refused == len(tags)
        assert found >= 1
        assert segments.size <= budget
        # What a block makes too much is noticed once it is there.
        assert segments.most <= budget + BLOCKS_AT_ONCE * each // 2
        assert source.most_reading <= BLOCKS_AT_ONCE
        refused = found = 0
        for tag in tags:
            await search(tag)
        assert (found, refused) == (len(tags), 0)


async def test_what_is_written_while_a_container_is_loaded_is_seen() -> None:
    source = Source({"a": 550})
    with segments_of(source, 1 << 30) as segments:
        loading = asyncio.create_task(segments.current(1, "a").__aenter__())
        await source.third.wait()
        source.write("a", "a-000000")  # in a block that was read
        source.write("a", "new")
        (cached,) = await loading
        assert len(cached.segment) == 551
        assert "new" in cached.segment
        assert cached.revision == source.revision


async def test_a_container_whose_changes_are_removed_while_it_is_loaded_is_read_again() -> None:
    source = Source({"a": 550})
    with segments_of(source, 1 << 30) as segments:
        loading = asyncio.create_task(segments.current(1, "a").__aenter__())
        await source.third.wait()
        del source.rows["a"][0]  # in a block that was read
        source.revision += 1
        source.oldest = source.revision + 1
        (cached,) = await loading
        assert len(cached.segment) == 549
        assert "a-000000" not in cached.segment
        assert cached.revision == source.revision
        assert source.blocks == 2 * 6
        assert segments.size == cached.size


async def test_a_search_that_is_cancelled_while_it_loads_leaves_nothing() -> None:
    source = Source({"a": 5000})
    with segments_of(source, 1 << 30) as segments:
        loading = asyncio.create_task(segments.current(1, "a").__aenter__())
        await source.third.wait()
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        assert (segments.size, segments._held_size, dict(segments._locks)) == (0, 0, {})


class Counting(OrderedDict[Any, Any]):
    """Counts the keys that are looked at one after the other."""

    visited = 0

    def __iter__(self) -> Iterator[Any]:
        for key in super().__iter__():
            self.visited += 1
            yield key


async def _calls_of_a_search(containers: int) -> tuple[int, int]:
    """Python calls, and keys of the cache visited, of one search among so many containers."""
    source = Source({})
    with segments_of(source, 1 << 30) as segments:
        for number in range(containers):
            async with segments.current(1, [f"c{number}"]):
                pass
        kept = segments._idle = Counting(segments._idle)
        calls = kept.visited = 0

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        for _ in range(2):  # Verified the first time, then given unverified.
            calls = 0
            sys.setprofile(count)
            try:
                async with segments.current(1, ["c3"], allow_unverified=True):
                    pass
            finally:
                sys.setprofile(None)
        return calls, kept.visited


async def test_the_upkeep_of_a_search_does_not_grow_with_the_containers() -> None:
    few, many = await _calls_of_a_search(10), await _calls_of_a_search(2_000)
    assert many == few
    assert many[1] == 0


async def test_containers_without_anything_count_too() -> None:
    source = Source({})
    with segments_of(source, 1_000_000) as segments:
        for number in range(1_000):
            async with segments.current(1, [f"c{number}"]):
                pass
        assert 0 < len(segments._idle) < 500
