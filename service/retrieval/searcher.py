"""Searches: from the query to hits that are read from the storage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from service.core.model import Principal
from service.embedding.base import (
    TIMEOUT_SECONDS,
    Embedder,
    EmbedderError,
    InlineEmbedder,
    Purpose,
)
from service.ports.search import (
    ChunkHit,
    DocumentHit,
    DocumentHits,
    DocumentSearch,
    Hydrated,
    HydrationRequest,
    IndexUsage,
    MemoryHit,
    MemoryHits,
    MemorySearch,
    SearchSource,
)
from service.retrieval.bursts import Bursts
from service.retrieval.cached_segment import CachedSegment
from service.retrieval.eligibility import (
    Eligibility,
    Masks,
    eligible_chunks,
    eligible_memories,
)
from service.retrieval.hits import chunk_hits, memory_hits
from service.retrieval.segments import INLINE_ADDITIONS, NoRoomError, Segments
from service.retrieval.streaming import Streaming
from service.retrieval.verification import GROWTH, ReadTexts, Verification
from service.runtime import call_stages, interpreter
from service.runtime.call_stages import stage
from service.runtime.fairness import FairThreads
from service.runtime.priority import ForegroundPriority
from service.search.analysis import speaker_words
from service.search.entry import TermHasher, hashed_name
from service.search.hashed_query import HashedQuery, hash_query, text_to_embed, without_speakers
from service.search.phrases import Phrases
from service.search.places import Place, count_holders, places
from service.search.ranking import Hit, Ranking, rank
from service.search.scope import Scope
from service.search.segment import ItemKind
from service.search.speakers import Name
from service.search.weights import calibration

T = TypeVar("T")

log = logging.getLogger(__name__)

UNSETTLED = 1
"""So many rankings may give too few hits that hold the phrases of a search before they are
looked for in all texts that may hold them."""

THREADS = 3
"""Threads that load and rank large segments."""

TENANT_THREADS = 2
"""How many of them work for one tenant at once; the third is for the others."""

TRIES = 4
"""Rounds in which what was deleted while the search ran is replaced by the next best.

In the first round, segments may be used unverified; if one was out of date, the result of
that round is discarded.
"""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What of a search is done on the event loop, and how long it waits for its vector.

    In a thread each step gives up the interpreter to the event loop and has to wait to get it
    back, which takes longer under load than little work itself (a few milliseconds) does.

    Args:
        inline_characters: Queries up to this length are embedded on the event loop.
        inline_rows: Up to so many rows are ranked there,
        inline_hits: and up to so many hits.
        inline_additions: Up to so many rows are added to a segment there.
        embed_timeout: Seconds that a query waits for its vector before it goes on without one.
    """

    inline_characters: int = 2_000
    inline_rows: int = 16_384
    inline_hits: int = 1_000
    inline_additions: int = INLINE_ADDITIONS
    embed_timeout: float = TIMEOUT_SECONDS


DEFAULT_OPTIONS = SearchOptions()


class SegmentSearcher:
    """Searches segments in memory; see `ports.search.Searcher`.

    Args:
        source: The storage.
        embedder: Makes the query's vector.
        space: The number of its vector space.
        budget: Bytes that the segments may take up. What does not fit is searched block by
            block.
        hasher: Hashes the query's words.
        threads: Where large segments are loaded and ranked; tenants take turns.
        priority: Held as foreground while a search runs.
        options: What is done on the event loop, and how long is waited.
    """

    def __init__(
        self,
        source: SearchSource,
        embedder: Embedder,
        space: int,
        budget: int,
        hasher: TermHasher,
        threads: FairThreads,
        priority: ForegroundPriority,
        options: SearchOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._source = source
        self._embedder = embedder
        self.calibration = calibration(embedder.name)
        self._options = options
        self._segments = Segments(
            source,
            space,
            embedder.dimension,
            self.calibration,
            budget,
            threads,
            options.inline_additions,
        )
        self._streaming = Streaming(source, space, embedder.dimension, self.calibration, threads)
        self._bursts = Bursts()
        self._streamed_searches = 0
        self._hasher = hasher
        self._threads = threads
        self._priority = priority

    def usage(self) -> IndexUsage:
        """What its segments take up."""
        return self._segments.usage(self._streamed_searches)

    def clear(self) -> bool:
        """Drop the segments that no search is using; whether there were any."""
        return self._segments.clear()

    async def documents(self, principal: Principal, search: DocumentSearch) -> DocumentHits:
        async def eligible(cached: CachedSegment, masks: Masks) -> Scope:
            return await eligible_chunks(principal.tenant, cached, search.filter, masks)

        def to_hydrate(found: Sequence[Hit | Place], _: object) -> HydrationRequest:
            return HydrationRequest(
                chunks=[(hit.group, hit.position, hit.id) for hit in found],
                neighbors=search.neighbors,
                content=search.include_content,
            )

        hits, revision = await self._searched(
            principal, search, lambda: eligible, to_hydrate, chunk_hits
        )
        by_document: dict[str, DocumentHit] = {}
        for hit, document in hits:
            kept = by_document.setdefault(document.id, DocumentHit(document, []))
            kept.chunks.append(hit)
        return DocumentHits(list(by_document.values()), revision)

    async def memories(self, principal: Principal, search: MemorySearch) -> MemoryHits:
        excluded = [
            hashed_name(speaker_words(name), self._hasher) for name in search.exclude_speakers
        ]

        def eligibility() -> Eligibility:
            wall = self._source.now()

            async def eligible(cached: CachedSegment, masks: Masks) -> Scope:
                return await eligible_memories(
                    principal.tenant, cached, search, wall, masks, excluded
                )

            return eligible

        def to_hydrate(found: Sequence[Hit | Place], containers: Sequence[str]) -> HydrationRequest:
            return HydrationRequest(
                [(containers[hit.segment], hit.id) for hit in found if hit.kind is ItemKind.MEMORY],
                search.as_of,
                [(hit.group, hit.position, hit.id) for hit in found if hit.kind is ItemKind.CHUNK],
                sources=search.include_documents,
            )

        def build_hits(found: Sequence[Hit], hydrated: Hydrated) -> list[MemoryHit | ChunkHit]:
            return memory_hits(search, found, hydrated)

        hits, revision = await self._searched(
            principal,
            search,
            eligibility,
            to_hydrate,
            build_hits,
            distinct=not search.every_text,
            insist=search.insist,
        )
        return MemoryHits(hits, revision)

    async def _searched(
        self,
        principal: Principal,
        search: DocumentSearch | MemorySearch,
        eligibility: Callable[[], Eligibility],
        to_hydrate: Callable[[Sequence[Hit | Place], Sequence[str]], HydrationRequest],
        build_hits: Callable[[Sequence[Hit], Hydrated], list[T]],
        *,
        distinct: bool = True,
        insist: bool = False,
    ) -> tuple[list[T], int]:
        """The best hits, and the revision up to which they are true.

        Args:
            principal: The caller.
            search: The request.
            eligibility: Makes the predicate of what may be found now.
            to_hydrate: What to read for the ranked hits, given the containers' tags.
            build_hits: Combines ranked hits with what was read; leaves out those that were
                deleted or are no longer to be found.
            distinct: Whether each text is found once.
            insist: Whether hits hold all that the query insists on.
        """
        if not search.containers:
            search = replace(search, containers=tuple(await self._source.containers(principal)))
        phrases = Phrases(search.must_contain, search.must_not_contain)
        verification = Verification(
            phrases, search.limit, self._threads, principal.tenant, insist=insist
        )
        plan = _SearchPlan(
            principal, search, eligibility, to_hydrate, build_hits, distinct, insist, verification
        )
        with self._priority.foreground():
            try:
                return await self._in_memory(plan)
            except NoRoomError as error:
                self._streamed_searches += 1
                self._say_streamed(principal.tenant, search.containers, error.needed)
            try:
                return await self._streamed(plan)
            finally:
                # The blocks that were read are freed, and can be large.
                interpreter.trim_heap()

    async def _in_memory(self, plan: _SearchPlan[T]) -> tuple[list[T], int]:
        """Raises NoRoomError."""
        principal, search = plan.principal, plan.search
        query = await self._remote_query(plan)
        wanted, tries, unsettled = plan.verification.ranked_first, 0, 0
        while True:
            if unsettled > UNSETTLED:
                await self._judge_all(plan)
            async with self._segments.current(
                principal.tenant, search.containers, allow_unverified=tries == 0
            ) as current:
                scopes = plan.verification.narrowed(await self._scopes(plan, current))
                ready = query or await self._query(search.query, scopes)
                ranked = await self._rank(plan, scopes, ready, wanted)
                revisions = _Revisions(current)
                containers = [cached.container for cached in current]
                # Once so many are found, ranking more finds no other.
                most = count_holders(scopes, ready) if plan.insist else search.limit
            good, settled, leading = await self._verified(plan, ranked, containers)
            full = len(ranked) == wanted
            short = full and len(good) < min(search.limit, most)
            if not settled:
                unsettled += short or (full and not leading)
                continue
            if short and ranked[-1].score >= search.min_score:
                wanted *= GROWTH
                continue
            tries += 1
            found = _scoring(good, search.min_score)
            request = replace(plan.to_hydrate(found, containers), known=revisions.unverified)
            with stage("hydrate"):
                hydrated = await self._source.hydrate(principal, request)
            hits = plan.build_hits(found, hydrated)
            complete = revisions.confirmed(hydrated.unchanged) and len(hits) == len(found)
            if complete or tries == TRIES:
                return hits, revisions.lowest

    async def _streamed(self, plan: _SearchPlan[T]) -> tuple[list[T], int]:
        """The same for containers that do not fit into memory, block by block."""
        principal, search = plan.principal, plan.search
        containers = sorted(set(search.containers))

        async def embedded(query: HashedQuery, named: Iterable[Name]) -> HashedQuery:
            return await self._embedded(query, without_speakers(query, named))

        wanted, tries = plan.verification.ranked_first, 0
        while True:
            ranking = Ranking(
                hash_query(search.query, self._hasher),
                self.calibration,
                wanted,
                distinct=plan.distinct,
                required=plan.verification.required(self._hasher),
            )
            with stage("blocks"):
                ranked = await self._streaming.rank(
                    principal.tenant, containers, plan.narrowed_eligibility(), ranking, embedded
                )
            for container, size in zip(containers, ranked.sizes, strict=True):
                self._segments.learn(principal.tenant, container, size)
            good, settled, leading = await self._verified(plan, ranked.hits, containers)
            full = len(ranked.hits) == wanted
            short = full and len(good) < search.limit
            if full and not settled and not leading:
                wanted *= GROWTH
                continue
            if short and (not settled or ranked.hits[-1].score >= search.min_score):
                wanted *= GROWTH
                continue
            if not settled:
                continue
            tries += 1
            found = _scoring(good, search.min_score)
            with stage("hydrate"):
                hydrated = await self._source.hydrate(principal, plan.to_hydrate(found, containers))
            hits = plan.build_hits(found, hydrated)
            if len(hits) == len(found) or tries == TRIES:
                return hits, ranked.revision

    async def _verified(
        self, plan: _SearchPlan[T], ranked: Sequence[Hit], containers: Sequence[str]
    ) -> tuple[list[Hit], bool, bool]:
        """The best of the ranked hits that hold what the search insists on; whether they were
        ranked among such, or have to be ranked again; and whether the best two of all are
        known."""
        rejected = plan.verification.rejected
        # No other hit makes one score more than its own confidence.
        hopeful = [hit for hit in ranked if hit.parts.confidence >= plan.search.min_score]
        read = self._texts(plan, containers)
        with stage("verify"):
            good = await plan.verification.admitted(hopeful, read)
            leading = await plan.verification.knows_leading(ranked, read)
        return good, plan.verification.rejected == rejected, leading

    async def _judge_all(self, plan: _SearchPlan[T]) -> None:
        """Look for the phrases in all texts that may hold them.

        After the best that were ranked hardly did: ranking more and more takes longer.
        """
        tenant, required = plan.principal.tenant, plan.verification.required(self._hasher)
        async with self._segments.current(tenant, plan.search.containers) as current:
            scopes = plan.verification.narrowed(await self._scopes(plan, current))
            containers = [cached.container for cached in current]
            listed = await self._threads.run(tenant, lambda: list(places(scopes, required)))
        with stage("verify"):
            await plan.verification.judge(listed, self._texts(plan, containers))

    def _texts(self, plan: _SearchPlan[T], containers: Sequence[str]) -> ReadTexts:
        """Reads what hits say, but of those that were deleted."""

        async def read(hits: Sequence[Hit | Place]) -> Mapping[str, str]:
            request = plan.to_hydrate(hits, containers)
            request = replace(request, neighbors=0, content=False, sources=False)
            hydrated = await self._source.hydrate(plan.principal, request)
            texts = {name: chunk.text for name, (chunk,) in hydrated.near.items()}
            texts.update((name, memory.content) for name, memory in hydrated.memories.items())
            return texts

        return read

    def _say_streamed(self, tenant: int, containers: Sequence[str], needed: int) -> None:
        # Each is noted, so that none of them begins a burst in the next search.
        begun = [self._bursts.begins((tenant, container)) for container in containers]
        if any(begun):
            log.warning(
                "a search of tenant %d needs at least %d MB of index memory and has no room in "
                "its %d MB: it reads the database block by block, which is slow",
                tenant,
                needed // 1_000_000,
                self._segments.budget // 1_000_000,
            )

    async def _scopes(self, plan: _SearchPlan[T], current: Sequence[CachedSegment]) -> list[Scope]:
        eligible = plan.eligibility()
        with stage("filter"):
            return [await eligible(cached, self._segments) for cached in current]

    async def _remote_query(self, plan: _SearchPlan[T]) -> HashedQuery | None:
        """The query, if its vector takes long: other searches need not wait for that."""
        if isinstance(self._embedder, InlineEmbedder):
            return None
        search = plan.search
        async with self._segments.current(plan.principal.tenant, search.containers) as current:
            query = hash_query(search.query, self._hasher)
            text = text_to_embed(query, await self._scopes(plan, current))
        return await self._embedded(query, text)

    async def _query(self, text: str, scopes: Sequence[Scope]) -> HashedQuery:
        query = hash_query(text, self._hasher)
        return await self._embedded(query, text_to_embed(query, scopes))

    async def _embedded(self, query: HashedQuery, text: str) -> HashedQuery:
        """The query with the vector of `text`; without one while the embedder is unavailable:
        words still find."""
        embedder, options = self._embedder, self._options
        try:
            with stage("embed"):
                if isinstance(embedder, InlineEmbedder) and len(text) <= options.inline_characters:
                    vectors = embedder.embed_now([text], Purpose.QUERY)
                else:
                    vectors = await embedder.embed_with_timeout(
                        [text], Purpose.QUERY, options.embed_timeout
                    )
        except EmbedderError as error:
            log.warning("searching by words alone: %s", error)
            return query
        return query.near(vectors[0])

    async def _rank(
        self,
        plan: _SearchPlan[T],
        scopes: Sequence[Scope],
        query: HashedQuery,
        wanted: int,
    ) -> list[Hit]:
        stages = call_stages.current()
        note = None if stages is None else stages.note

        def ranked() -> list[Hit]:
            return rank(
                scopes,
                query,
                self.calibration,
                wanted,
                distinct=plan.distinct,
                required=plan.verification.required(self._hasher),
                note=note,
            )

        rows = sum(scope.segment.rows for scope in scopes)
        small = rows <= self._options.inline_rows and wanted <= self._options.inline_hits
        with stage("rank"):
            return ranked() if small else await self._threads.run(plan.principal.tenant, ranked)


def _scoring(found: Sequence[Hit], least: float) -> list[Hit]:
    """The hits that score enough."""
    return [hit for hit in found if hit.score >= least]


@dataclass(frozen=True, slots=True)
class _SearchPlan(Generic[T]):
    """The arguments of `SegmentSearcher._searched`."""

    principal: Principal
    search: DocumentSearch | MemorySearch
    eligibility: Callable[[], Eligibility]
    to_hydrate: Callable[[Sequence[Hit | Place], Sequence[str]], HydrationRequest]
    build_hits: Callable[[Sequence[Hit], Hydrated], list[T]]
    distinct: bool
    insist: bool
    verification: Verification

    def narrowed_eligibility(self) -> Eligibility:
        """As `eligibility`, without what is known not to pass the verification."""
        eligibility = self.eligibility()

        async def narrowed(cached: CachedSegment, masks: Masks) -> Scope:
            (scope,) = self.verification.narrowed([await eligibility(cached, masks)])
            return scope

        return narrowed


class _Revisions:
    """Up to which revision each of the segments searched is true."""

    def __init__(self, current: Sequence[CachedSegment]) -> None:
        self.revisions = {cached.container: cached.revision for cached in current}
        unverified = [cached.container for cached in current if cached.unverified]
        self.unverified = {container: self.revisions[container] for container in unverified}

    @property
    def lowest(self) -> int:
        return min(self.revisions.values())

    def confirmed(self, unchanged: Mapping[str, int]) -> bool:
        """Whether they missed nothing that was written before the search."""
        self.revisions.update(unchanged)
        return len(unchanged) == len(self.unverified)
