"""Searches and profiles, and their responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from palimpsest.v1 import documents_pb2, memories_pb2, search_pb2
from service.core import filters, quotes
from service.core import model as m
from service.core.errors import Violation
from service.ports import search as s
from service.ports.processing import ChunkRow
from service.rpc.convert import documents as documents_convert
from service.rpc.convert import memories as memories_convert
from service.rpc.convert import times
from service.rpc.convert.filters import read as read_filter
from service.rpc.profiles import Profile, ProfileQuery

_DEFAULT_LIMIT: Final = 10
_PROFILE_LIMIT: Final = 20
_ANSWER_BYTES: Final = 3 * 1024 * 1024


def _filter(
    request: documents_pb2.SearchDocumentsRequest
    | memories_pb2.SearchMemoriesRequest
    | memories_pb2.GetProfileRequest,
    kind: filters.Target,
    violations: list[Violation],
) -> filters.Filter | None:
    if not request.HasField("filter"):
        return None
    return read_filter(request.filter, "filter", kind, violations)


def _quoted(query: str, violations: list[Violation]) -> tuple[str, ...]:
    phrases = quotes.quoted(query)
    if len(phrases) > quotes.MAX_PHRASES:
        rule = f"must have at most {quotes.MAX_PHRASES} phrases in double quotes"
        violations.append(Violation("query", rule))
    return phrases


def documents(
    request: documents_pb2.SearchDocumentsRequest, violations: list[Violation]
) -> s.DocumentSearch:
    return s.DocumentSearch(
        request.query,
        tuple(request.container_tags),
        _filter(request, filters.Target.DOCUMENT, violations),
        request.min_score,
        request.limit or _DEFAULT_LIMIT,
        request.neighbors,
        request.include_content,
        must_contain=(*request.must_contain, *_quoted(request.query, violations)),
        must_not_contain=tuple(request.must_not_contain),
    )


def memories(
    request: memories_pb2.SearchMemoriesRequest, violations: list[Violation]
) -> s.MemorySearch:
    return s.MemorySearch(
        request.query,
        tuple(request.container_tags),
        _filter(request, filters.Target.MEMORY, violations),
        request.min_score,
        request.limit or _DEFAULT_LIMIT,
        memories_convert.as_of(request, violations),
        request.include_forgotten,
        request.include_history,
        request.include_chunks,
        request.include_documents,
        tuple(request.exclude_speakers),
        must_contain=(*request.must_contain, *_quoted(request.query, violations)),
        must_not_contain=tuple(request.must_not_contain),
    )


def to_forget(
    request: memories_pb2.ForgetMemoriesRequest,
    forget: m.MemoryForgetMany,
    violations: list[Violation],
) -> s.MemorySearch | None:
    """The search that says what to forget; None when ids or a filter do."""
    phrases = (*request.must_contain, *_quoted(request.query, violations))
    if not request.query:
        return None
    return s.MemorySearch(
        request.query,
        (forget.container,),
        min_score=request.min_score,
        limit=forget.max_forget + 1,
        every_text=True,
        insist=True,
        must_contain=phrases,
        must_not_contain=tuple(request.must_not_contain),
    )


def with_hits(
    forget: m.MemoryForgetMany, hits: Sequence[s.MemoryHit | s.ChunkHit]
) -> m.MemoryForgetMany:
    """`forget` with the memories that its search has found."""
    found = tuple((hit.memory.id, hit.score) for hit in hits if isinstance(hit, s.MemoryHit))
    return replace(forget, found=found)


def found_terms(hits: Sequence[s.MemoryHit | s.ChunkHit]) -> dict[str, tuple[str, ...]]:
    """The words of the query that each memory holds."""
    return {hit.memory.id: hit.parts.found_terms for hit in hits if isinstance(hit, s.MemoryHit)}


def profile(request: memories_pb2.GetProfileRequest, violations: list[Violation]) -> ProfileQuery:
    return ProfileQuery(
        request.container_tag or m.DEFAULT_CONTAINER,
        request.query,
        _filter(request, filters.Target.MEMORY, violations),
        request.limit or _PROFILE_LIMIT,
        request.min_score,
        _quoted(request.query, violations),
    )


def documents_response(
    found: s.DocumentHits, *, parts: bool
) -> documents_pb2.SearchDocumentsResponse:
    response = documents_pb2.SearchDocumentsResponse(revision=found.revision)
    size = 0
    for hit in found.hits:
        message = documents_pb2.DocumentHit(score=hit.chunks[0].score)
        documents_convert.to_proto(hit.document, message.document)
        for chunk in hit.chunks:
            added = message.chunks.add(score=chunk.score, same_text_count=chunk.same_text)
            chunk_to_proto(chunk.chunk, added.chunk, chunk.document_id)
            for row in chunk.before:
                chunk_to_proto(row, added.before.add(), chunk.document_id)
            for row in chunk.after:
                chunk_to_proto(row, added.after.add(), chunk.document_id)
            if parts:
                _parts_to_proto(chunk.parts, added.score_parts)
        size += message.ByteSize()
        if size > _ANSWER_BYTES and response.hits:
            break
        response.hits.append(message)
    return response


def memories_response(
    found: s.MemoryHits, *, parts: bool, documents: bool
) -> memories_pb2.SearchMemoriesResponse:
    response = memories_pb2.SearchMemoriesResponse(revision=found.revision)
    for hit in found.hits:
        _hit_to_proto(hit, response.hits.add(), parts=parts)
    if documents:
        near = (hit.source if isinstance(hit, s.MemoryHit) else hit.document for hit in found.hits)
        for document in {one.id: one for one in near if one is not None}.values():
            documents_convert.to_proto(document, response.documents.add())
    return response


def profile_response(profile: Profile) -> memories_pb2.GetProfileResponse:
    response = memories_pb2.GetProfileResponse(text=profile.text, revision=profile.revision)
    for memory in profile.static:
        memories_convert.to_proto(memory, response.static_memories.add())
    for memory in profile.recent:
        memories_convert.to_proto(memory, response.recent_memories.add())
    for hit in profile.hits:
        _hit_to_proto(hit, response.hits.add(), parts=False)
    return response


def _hit_to_proto(
    hit: s.MemoryHit | s.ChunkHit, message: memories_pb2.SearchHit, *, parts: bool
) -> None:
    message.score = hit.score
    message.same_text_count = hit.same_text
    if isinstance(hit, s.MemoryHit):
        memories_convert.to_proto(hit.memory, message.memory)
    else:
        chunk_to_proto(hit.chunk, message.chunk, hit.document_id)
    if parts:
        _parts_to_proto(hit.parts, message.score_parts)


def chunk_to_proto(chunk: ChunkRow, message: search_pb2.Chunk, document_id: str) -> None:
    message.id = chunk.id
    message.document_id = document_id
    message.position = chunk.position
    message.text = chunk.text
    message.start = chunk.start
    message.end = chunk.end
    message.heading = chunk.heading
    message.speaker = chunk.speaker
    if chunk.instant is not None:
        times.to_proto(chunk.instant, message.time)
    if chunk.offset is not None:
        message.utc_offset_minutes = chunk.offset


def _parts_to_proto(parts: s.ScoreParts, message: search_pb2.ScoreParts) -> None:
    message.lexical = parts.lexical
    message.semantic = parts.semantic
    message.rank = parts.rank
    message.confidence = parts.confidence
    message.found_terms.extend(parts.found_terms)
    message.missing_terms.extend(parts.missing_terms)
