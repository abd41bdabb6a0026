"""The hits of a search: what was ranked, with what was read of it."""

from __future__ import annotations

from collections.abc import Sequence

from service.core.model import Document, Memory
from service.ports.search import ChunkHit, Hydrated, MemoryHit, MemorySearch, ScoreParts
from service.search.ranking import Hit
from service.search.segment import ItemKind


def chunk_hits(found: Sequence[Hit], hydrated: Hydrated) -> list[tuple[ChunkHit, Document]]:
    """The chunks that are still there, in order, each with its document."""
    hits = []
    for hit in found:
        document, rows = hydrated.documents.get(hit.group), hydrated.near.get(hit.id)
        if document is None or rows is None:
            continue
        before = [row for row in rows if row.position < hit.position]
        after = [row for row in rows if row.position > hit.position]
        chunk = rows[len(before)]
        parts = _parts(hit)
        found_hit = ChunkHit(hit.group, chunk, hit.score, parts, hit.sharing, before, after)
        hits.append((found_hit, document))
    return hits


def memory_hits(
    search: MemorySearch, found: Sequence[Hit], hydrated: Hydrated
) -> list[MemoryHit | ChunkHit]:
    """The memories and chunks that are still to be found, in order."""
    chunks = chunk_hits([hit for hit in found if hit.kind is ItemKind.CHUNK], hydrated)
    by_id: dict[str, MemoryHit | ChunkHit] = {}
    for chunk, document in chunks:
        chunk.document = document
        by_id[chunk.chunk.id] = chunk
    for hit in found:
        memory = hydrated.memories.get(hit.id)
        if memory is not None and _wanted(memory, search):
            source = hydrated.documents.get(memory.source_document_id or "")
            by_id[hit.id] = MemoryHit(memory, hit.score, _parts(hit), hit.sharing, source)
    return [by_id[hit.id] for hit in found if hit.id in by_id]


def _wanted(memory: Memory, search: MemorySearch) -> bool:
    """Whether it still matches: it may have been forgotten or superseded during the search."""
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
        hit.found,
        hit.lacking,
    )
