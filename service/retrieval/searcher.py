"""Searches: from the question to hits that are read back from the storage."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from service.core.fairness import FairThreads
from service.core.filters import Filter
from service.core.model import Document, Memory, Principal
from service.core.precedence import Precedence
from service.core.search import (
    ChunkHit,
    DocumentHit,
    DocumentHits,
    DocumentSearch,
    IndexSource,
    Looked,
    Lookup,
    MemoryHit,
    MemoryHits,
    MemorySearch,
    ScoreParts,
)
from service.embedding.base import Embedder, EmbedderError, InlineEmbedder, Purpose
from service.retrieval.segments import Segments, Shelf
from service.search.columns import Mask
from service.search.entry import TermHasher
from service.search.query import Query, make_query, text_to_embed
from service.search.ranking import Hit, rank
from service.search.scope import Scope
from service.search.segment import Kind
from service.search.weights import calibration

T = TypeVar("T")

log = logging.getLogger(__name__)

INLINE_CHARACTERS = 2_000
"""Questions shorter than this are embedded where they are, without a thread."""

INLINE_ROWS = 16_384
"""Up to so many are ranked where they are.

In a thread each step gives up the interpreter to the event loop and has to wait to get it
back, which takes longer under load than the work itself (a few milliseconds) does.
"""

THREADS = 3
"""Threads that load and rank large segments."""

TENANT_THREADS = 2
"""How many of them work for one tenant at once; the third is for the others."""

TRIES = 4
"""Rounds in which what was deleted while the search ran is replaced by the next best.

In the first one, segments may be presumed to be true; if one is not, the round was in vain.
"""


class SegmentSearcher:
    """Searches segments in memory; see `core.search.Searcher`.

    Args:
        source: The storage.
        embedder: Makes the question's vector.
        space: The number of its vector space.
        budget: Bytes that the segments may keep.
        hasher: Hashes the question's words.
        threads: Where large segments are loaded and ranked; tenants take turns.
        precedence: Taken while a search runs.
    """

    def __init__(
        self,
        source: IndexSource,
        embedder: Embedder,
        space: int,
        budget: int,
        hasher: TermHasher,
        threads: FairThreads,
        precedence: Precedence,
    ) -> None:
        self._source = source
        self._embedder = embedder
        self.calibration = calibration(embedder.name)
        self._segments = Segments(
            source, space, embedder.dimension, self.calibration, budget, threads
        )
        self._hasher = hasher
        self._threads = threads
        self._precedence = precedence

    def clear(self) -> bool:
        """Forget the segments that nobody is searching; whether there were any."""
        return self._segments.clear()

    async def documents(self, who: Principal, search: DocumentSearch) -> DocumentHits:
        async def scopes(shelves: Sequence[Shelf]) -> list[Scope]:
            return [await self._chunks(who.tenant, shelf, search.filter) for shelf in shelves]

        def wanted(found: Sequence[Hit], _: object) -> Lookup:
            return Lookup(
                chunks=[(hit.group, hit.position, hit.id) for hit in found],
                reach=search.neighbors,
                content=search.include_content,
            )

        hits, revision = await self._searched(who, search, scopes, wanted, _chunk_hits)
        by_document: dict[str, DocumentHit] = {}
        for hit, document in hits:
            kept = by_document.setdefault(document.id, DocumentHit(document, []))
            kept.chunks.append(hit)
        return DocumentHits(list(by_document.values()), revision)

    async def memories(self, who: Principal, search: MemorySearch) -> MemoryHits:
        async def scopes(shelves: Sequence[Shelf]) -> list[Scope]:
            wall = self._source.now()
            return [await self._scope(who.tenant, shelf, search, wall) for shelf in shelves]

        def wanted(found: Sequence[Hit], shelves: Sequence[Shelf]) -> Lookup:
            return Lookup(
                [
                    (shelves[hit.segment].container, hit.id)
                    for hit in found
                    if hit.kind is Kind.MEMORY
                ],
                search.as_of,
                [(hit.group, hit.position, hit.id) for hit in found if hit.kind is Kind.CHUNK],
            )

        def made(found: Sequence[Hit], looked: Looked) -> list[MemoryHit | ChunkHit]:
            return _memory_hits(search, found, looked)

        hits, revision = await self._searched(
            who, search, scopes, wanted, made, distinct=not search.every_text
        )
        return MemoryHits(hits, revision)

    async def _searched(
        self,
        who: Principal,
        search: DocumentSearch | MemorySearch,
        scopes: Callable[[Sequence[Shelf]], Awaitable[Sequence[Scope]]],
        wanted: Callable[[Sequence[Hit], Sequence[Shelf]], Lookup],
        made: Callable[[Sequence[Hit], Looked], list[T]],
        *,
        distinct: bool = True,
    ) -> tuple[list[T], int]:
        """What `made` makes of the best hits, and the revision up to which that is true.

        Args:
            who: Who searches.
            search: For what.
            scopes: What of the shelves is eligible.
            wanted: What is read of hits.
            made: Leaves out those that are not there, or not to be found, any more.
            distinct: Whether each text is found once.
        """
        with self._precedence.taken():
            query = await self._remote_query(who, search, scopes)
            for number in range(TRIES):
                async with self._segments.current(
                    who.tenant, search.containers, presume=not number
                ) as shelves:
                    eligible = await scopes(shelves)
                    asked = query or await self._query(search.query, eligible)
                    found = await self._rank(
                        eligible, asked, search, tenant=who.tenant, distinct=distinct
                    )
                    state = _State(shelves)
                    lookup = replace(wanted(found, shelves), known=state.presumed)
                looked = await self._source.look_up(who, lookup)
                hits = made(found, looked)
                if state.confirmed(looked.unchanged) and len(hits) == len(found):
                    break
            return hits, state.revision

    async def _remote_query(
        self,
        who: Principal,
        search: DocumentSearch | MemorySearch,
        scopes: Callable[[Sequence[Shelf]], Awaitable[Sequence[Scope]]],
    ) -> Query | None:
        """The query, if its vector takes a while: other searches need not wait for that."""
        if isinstance(self._embedder, InlineEmbedder):
            return None
        async with self._segments.current(who.tenant, search.containers) as shelves:
            query = make_query(search.query, self._hasher)
            said = text_to_embed(query, await scopes(shelves))
        return await self._embedded(query, said)

    async def _query(self, text: str, scopes: Sequence[Scope]) -> Query:
        query = make_query(text, self._hasher)
        return await self._embedded(query, text_to_embed(query, scopes))

    async def _embedded(self, query: Query, said: str) -> Query:
        """The query with the vector of what is said; without while the embedder is away:
        words still find."""
        embedder = self._embedder
        try:
            if isinstance(embedder, InlineEmbedder) and len(said) <= INLINE_CHARACTERS:
                vectors = embedder.embed_now([said], Purpose.QUERY)
            else:
                vectors = await embedder.embed_soon([said], Purpose.QUERY)
        except EmbedderError as error:
            log.warning("searching by words alone: %s", error)
            return query
        return query.near(vectors[0])

    async def _chunks(self, tenant: int, shelf: Shelf, tree: Filter | None) -> Scope:
        mask = None if tree is None else await self._segments.matching(tenant, shelf, tree)
        return Scope(shelf.segment, shelf.segment.eligible_now(Kind.CHUNK, 0, mask))

    async def _scope(self, tenant: int, shelf: Shelf, search: MemorySearch, wall: int) -> Scope:
        segment = shelf.segment
        mask: Mask | None = None
        if search.filter is not None:
            mask = await self._segments.matching(tenant, shelf, search.filter)
        if search.include_forgotten or search.include_history:
            names = await self._source.in_state(
                tenant,
                shelf.container,
                search.as_of,
                wall,
                forgotten=search.include_forgotten,
                history=search.include_history,
            )
            eligible = segment.present(Kind.MEMORY, segment.rows_of(names))
            if mask is not None:
                eligible &= mask
        elif search.as_of is None:
            eligible = segment.eligible_now(Kind.MEMORY, wall, mask)
        else:
            eligible = segment.eligible(Kind.MEMORY, search.as_of, mask)
        if search.include_chunks:
            eligible |= segment.eligible_now(Kind.CHUNK, 0, mask)
        return Scope(segment, eligible)

    async def _rank(
        self,
        scopes: Sequence[Scope],
        query: Query,
        search: DocumentSearch | MemorySearch,
        *,
        tenant: int,
        distinct: bool,
    ) -> list[Hit]:
        def ranked() -> list[Hit]:
            return rank(scopes, query, self.calibration, search.limit, distinct=distinct)

        small = sum(scope.segment.rows for scope in scopes) <= INLINE_ROWS
        found = ranked() if small else await self._threads.run(tenant, ranked)
        return [hit for hit in found if hit.score >= search.min_score]


def _chunk_hits(found: Sequence[Hit], looked: Looked) -> list[tuple[ChunkHit, Document]]:
    hits = []
    for hit in found:
        document, rows = looked.documents.get(hit.group), looked.near.get(hit.id)
        if document is None or rows is None:
            continue
        before = [row for row in rows if row.position < hit.position]
        after = [row for row in rows if row.position > hit.position]
        chunk = rows[len(before)]
        parts = _parts(hit)
        hits.append((ChunkHit(hit.group, chunk, hit.score, parts, before, after), document))
    return hits


def _memory_hits(
    search: MemorySearch, found: Sequence[Hit], looked: Looked
) -> list[MemoryHit | ChunkHit]:
    chunks = _chunk_hits([hit for hit in found if hit.kind is Kind.CHUNK], looked)
    by_id: dict[str, MemoryHit | ChunkHit] = {hit.chunk.id: hit for hit, _ in chunks}
    for hit in found:
        memory = looked.memories.get(hit.id)
        if memory is not None and _wanted(memory, search):
            by_id[hit.id] = MemoryHit(memory, hit.score, _parts(hit))
    return [by_id[hit.id] for hit in found if hit.id in by_id]


def _wanted(memory: Memory, search: MemorySearch) -> bool:
    """Not when it was forgotten or superseded while the search ran."""
    if memory.forgotten and not search.include_forgotten:
        return memory.is_latest is False and search.include_history
    return memory.is_latest or search.include_history


def _parts(hit: Hit) -> ScoreParts:
    confidence = hit.parts.confidence
    return ScoreParts(
        hit.parts.lexical,
        hit.parts.cosine,
        hit.score / confidence if confidence else 0.0,
        confidence,
    )


class _State:
    """Up to which revision each of the segments searched is true."""

    def __init__(self, shelves: Sequence[Shelf]) -> None:
        self.revisions = {shelf.container: shelf.revision or 0 for shelf in shelves}
        presumed = [shelf.container for shelf in shelves if shelf.presumed]
        self.presumed = {container: self.revisions[container] for container in presumed}

    @property
    def revision(self) -> int:
        return min(self.revisions.values())

    def confirmed(self, unchanged: Mapping[str, int]) -> bool:
        """Whether they missed nothing that was written before the search."""
        self.revisions.update(unchanged)
        return len(unchanged) == len(self.presumed)
