"""Searches: from the question to hits that are read back from the storage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from service.core.filters import Filter
from service.core.model import Document, Memory, Principal
from service.core.precedence import Precedence
from service.core.search import (
    ChunkHit,
    DocumentHit,
    DocumentHits,
    DocumentSearch,
    IndexSource,
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
from service.search.weights import Calibration

T = TypeVar("T")

log = logging.getLogger(__name__)

INLINE_CHARACTERS = 2_000
"""Questions shorter than this are embedded where they are, without a thread."""

INLINE_ROWS = 16_384
"""Up to so many are ranked where they are.

In a thread each step gives up the interpreter to the event loop and has to wait to get it
back, which takes longer under load than the work itself (a few milliseconds) does.
"""

TRIES = 4
"""Rounds in which what was deleted while the search ran is replaced by the next best.

In the first one, segments may be presumed to be true; if one is not, the round was in vain.
"""


class SegmentSearcher:
    """Searches segments in memory; see `core.search.Searcher`.

    Args:
        source: The storage.
        segments: Those of the embedder's space.
        embedder: Makes the question's vector.
        calibration: Of the embedder.
        hasher: Hashes the question's words.
        threads: Where ranking is done.
        precedence: Taken while a search runs.
    """

    def __init__(
        self,
        source: IndexSource,
        segments: Segments,
        embedder: Embedder,
        calibration: Calibration,
        hasher: TermHasher,
        threads: Executor,
        precedence: Precedence,
    ) -> None:
        self._source = source
        self._segments = segments
        self._embedder = embedder
        self.calibration = calibration
        self._hasher = hasher
        self._threads = threads
        self._precedence = precedence

    async def documents(self, who: Principal, search: DocumentSearch) -> DocumentHits:
        with self._precedence.taken():
            return await self._documents(who, search)

    async def memories(self, who: Principal, search: MemorySearch) -> MemoryHits:
        with self._precedence.taken():
            return await self._memories(who, search)

    async def _documents(self, who: Principal, search: DocumentSearch) -> DocumentHits:
        async def scopes(shelves: Sequence[Shelf]) -> list[Scope]:
            return [await self._chunks(who.tenant, shelf, search.filter) for shelf in shelves]

        query = await self._remote_query(who, search, scopes)
        for number in range(TRIES):
            async with self._segments.current(
                who.tenant, search.containers, presume=not number
            ) as shelves:
                eligible = await scopes(shelves)
                asked = query or await self._query(search.query, eligible)
                found = await self._rank(eligible, asked, search.limit, search.min_score)
                state = _State(shelves)
            hits, true = await asyncio.gather(
                self._chunk_hits(who, found, search.neighbors, content=search.include_content),
                self._confirmed(who.tenant, state),
            )
            if true and len(hits) == len(found):
                break
        by_document: dict[str, DocumentHit] = {}
        for hit, document in hits:
            kept = by_document.setdefault(document.id, DocumentHit(document, []))
            kept.chunks.append(hit)
        return DocumentHits(list(by_document.values()), state.revision)

    async def _memories(self, who: Principal, search: MemorySearch) -> MemoryHits:
        async def scopes(shelves: Sequence[Shelf]) -> list[Scope]:
            return [await self._scope(who.tenant, shelf, search, at) for shelf in shelves]

        at = self._source.now() if search.as_of is None else search.as_of
        query = await self._remote_query(who, search, scopes)
        for number in range(TRIES):
            at = self._source.now() if search.as_of is None else search.as_of
            async with self._segments.current(
                who.tenant, search.containers, presume=not number
            ) as shelves:
                eligible = await scopes(shelves)
                found = await self._rank(
                    eligible,
                    query or await self._query(search.query, eligible),
                    search.limit,
                    search.min_score,
                    distinct=not search.every_text,
                )
                state = _State(shelves)
                places = {hit.id: shelves[hit.segment].container for hit in found}
            hits, true = await asyncio.gather(
                self._memory_hits(who, search, found, places),
                self._confirmed(who.tenant, state),
            )
            if true and len(hits) == len(found):
                break
        return MemoryHits(hits, state.revision)

    async def _confirmed(self, tenant: int, state: _State) -> bool:
        """Whether the segments searched missed nothing that was written before."""
        if state.presumed:
            known = await self._source.unchanged(tenant, state.presumed)
            state.revisions.update(known)
            return len(known) == len(state.presumed)
        return True

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
            said = text_to_embed(search.query, self._hasher, await scopes(shelves))
        return await self._embedded(search.query, said)

    async def _query(self, text: str, scopes: Sequence[Scope]) -> Query:
        return await self._embedded(text, text_to_embed(text, self._hasher, scopes))

    async def _embedded(self, text: str, said: str) -> Query:
        """Without a vector while the embedder is away: words still find.

        Args:
            text: The question.
            said: What of it is embedded.
        """
        embedder = self._embedder
        try:
            if isinstance(embedder, InlineEmbedder) and len(said) <= INLINE_CHARACTERS:
                vectors = embedder.embed_now([said], Purpose.QUERY)
            else:
                vectors = await embedder.embed_soon([said], Purpose.QUERY)
        except EmbedderError as error:
            log.warning("searching by words alone: %s", error)
            return make_query(text, self._hasher)
        return make_query(text, self._hasher, vectors[0])

    async def _chunks(self, tenant: int, shelf: Shelf, tree: Filter | None) -> Scope:
        mask = None if tree is None else await self._segments.matching(tenant, shelf, tree)
        return Scope(shelf.segment, shelf.segment.eligible(Kind.CHUNK, 0, mask))

    async def _scope(self, tenant: int, shelf: Shelf, search: MemorySearch, at: int) -> Scope:
        segment = shelf.segment
        mask: Mask | None = None
        if search.filter is not None:
            mask = await self._segments.matching(tenant, shelf, search.filter)
        if search.include_forgotten or search.include_history:
            names = await self._source.in_state(
                tenant,
                shelf.container,
                at,
                forgotten=search.include_forgotten,
                history=search.include_history,
            )
            eligible = segment.present(Kind.MEMORY, segment.rows_of(names))
            if mask is not None:
                eligible &= mask
        else:
            eligible = segment.eligible(Kind.MEMORY, at, mask)
        if search.include_chunks:
            eligible |= segment.eligible(Kind.CHUNK, at, mask)
        return Scope(segment, eligible)

    async def _rank(
        self,
        scopes: Sequence[Scope],
        query: Query,
        limit: int,
        min_score: float,
        *,
        distinct: bool = True,
    ) -> list[Hit]:
        def ranked() -> list[Hit]:
            return rank(scopes, query, self.calibration, limit, distinct=distinct)

        small = sum(scope.segment.rows for scope in scopes) <= INLINE_ROWS
        found = ranked() if small else await self._in_thread(ranked)
        return [hit for hit in found if hit.score >= min_score]

    async def _chunk_hits(
        self, who: Principal, found: Sequence[Hit], reach: int, *, content: bool
    ) -> list[tuple[ChunkHit, Document]]:
        wanted = [(hit.group, hit.position, hit.id) for hit in found]
        if not wanted:
            return []
        documents, near = await self._source.chunks(who, wanted, reach, content=content)
        hits = []
        for hit in found:
            document, rows = documents.get(hit.group), near.get(hit.id)
            if document is None or rows is None:
                continue
            before = [row for row in rows if row.position < hit.position]
            after = [row for row in rows if row.position > hit.position]
            chunk = rows[len(before)]
            parts = _parts(hit)
            hits.append((ChunkHit(hit.group, chunk, hit.score, parts, before, after), document))
        return hits

    async def _memory_hits(
        self,
        who: Principal,
        search: MemorySearch,
        found: Sequence[Hit],
        places: Mapping[str, str],
    ) -> list[MemoryHit | ChunkHit]:
        wanted = [(places[hit.id], hit.id) for hit in found if hit.kind is Kind.MEMORY]
        memories = await self._source.memories(who, wanted, search.as_of) if wanted else {}
        chunks = [hit for hit in found if hit.kind is Kind.CHUNK]
        read = await self._chunk_hits(who, chunks, 0, content=False)
        by_id: dict[str, MemoryHit | ChunkHit] = {hit.chunk.id: hit for hit, _ in read}
        for hit in found:
            memory = memories.get(hit.id)
            if memory is not None and _wanted(memory, search):
                by_id[hit.id] = MemoryHit(memory, hit.score, _parts(hit))
        return [by_id[hit.id] for hit in found if hit.id in by_id]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, work)


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
