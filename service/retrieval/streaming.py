"""Searches of what does not fit into memory: read and ranked block by block.

The ranking goes over everything three times (see `service.search.ranking`) and holds one
block at a time, over all searches, so that memory is bounded however large a container is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from service.ports.indexing import BlockCursor
from service.ports.search import IndexSource
from service.retrieval.cached_segment import CachedSegment, add_block
from service.retrieval.eligibility import BlockMasks, Eligibility
from service.runtime.fairness import FairThreads
from service.search.hashed_query import HashedQuery
from service.search.ranking import Hit, Ranking
from service.search.scorer import SegmentScorer
from service.search.segment import Segment
from service.search.speakers import Name
from service.search.weights import Calibration


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a search found.

    Args:
        hits: In order. Their `segment` is the place of their container.
        revision: The tenant's before anything was read.
        sizes: Bytes of memory that each container would need.
    """

    hits: Sequence[Hit]
    revision: int
    sizes: Sequence[int]


@dataclass(slots=True)
class _Round:
    revision: int | None = None
    sizes: list[int] = field(default_factory=list)


class Streaming:
    """Ranks containers that are not in memory.

    Args:
        source: Where their rows are.
        space: The number of the vector space.
        dimension: Of its vectors.
        calibration: Of its embedder.
        threads: Where blocks are added and ranked; tenants take turns.
    """

    def __init__(
        self,
        source: IndexSource,
        space: int,
        dimension: int,
        calibration: Calibration,
        threads: FairThreads,
    ) -> None:
        self._source = source
        self._space = space
        self._dimension = dimension
        self._neighbourhood = calibration.neighbourhood
        self._threads = threads
        # One block at a time, for all searches in turn.
        self._turn = asyncio.Semaphore(1)

    async def rank(
        self,
        tenant: int,
        containers: Sequence[str],
        eligible: Eligibility,
        ranking: Ranking,
        embedded: Callable[[HashedQuery, Iterable[Name]], Awaitable[HashedQuery]],
    ) -> Ranked:
        """The best of the containers, taken as one corpus.

        Args:
            tenant: Their tenant.
            containers: Their tags.
            eligible: What of a block the search may find.
            ranking: The query's ranking.
            embedded: Adds the vector to the query, given the speakers it names.
        """
        spaces = None
        counted = await self._round(tenant, containers, eligible, spaces, ranking.count)
        revision = counted.revision or 0
        if not ranking.items:
            return Ranked((), revision, counted.sizes)
        ranking.query = await embedded(ranking.query, ranking.named)
        if ranking.query.vector is not None:
            spaces = self._space
        measured = await self._round(tenant, containers, eligible, spaces, ranking.measure)
        await self._round(tenant, containers, eligible, spaces, ranking.collect)
        if ranking.unsettled:
            await self._round(tenant, containers, eligible, spaces, ranking.settle)
        return Ranked(ranking.hits(), revision, measured.sizes)

    async def _round(
        self,
        tenant: int,
        containers: Sequence[str],
        eligible: Eligibility,
        space: int | None,
        take: Callable[[Sequence[SegmentScorer]], None],
    ) -> _Round:
        """Pass every block to `take` once; a document counts in the first of its containers."""
        done = _Round()
        for number, container in enumerate(containers):
            cursor: BlockCursor | None = BlockCursor()
            size = 0
            while cursor is not None:
                async with self._turn:
                    cached = CachedSegment(container, Segment(self._dimension, self._neighbourhood))
                    block = await self._source.block(
                        tenant, container, cursor, space, without=containers[:number]
                    )
                    masks = BlockMasks(
                        self._source,
                        list({row.entity for row in block.chunks}),
                        [row.id for row in block.memories],
                    )
                    await self._threads.run(tenant, add_block, cached, block)
                    cursor = block.following
                    done.revision = block.revision if done.revision is None else done.revision
                    del block
                    size += cached.nbytes + cached.segment.growth
                    scope = await eligible(cached, masks)
                    scorer = SegmentScorer(scope.segment, scope.eligible, number, scope.hidden)
                    await self._threads.run(tenant, take, [scorer])
                    del cached, masks, scope, scorer
            done.sizes.append(size)
        return done
