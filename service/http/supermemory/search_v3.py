"""/v3/search: finding documents by their chunks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from palimpsest.v1 import documents_pb2 as pb
from palimpsest.v1.search_pb2 import Chunk
from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory import answers, values
from service.http.supermemory.bodies import Fields, read_body
from service.http.supermemory.errors import call
from service.http.supermemory.fields import read_limit, read_tags, refuse_selectors
from service.http.supermemory.filters import read_filter

_NEIGHBORS: Final = 1
"""How many chunks around a hit are shown with it."""


class Stopwatch:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def read(self) -> int:
        return round((time.perf_counter() - self._began) * 1000)


async def _search_documents(calls: Calls, request: HttpRequest) -> HttpAnswer:
    stopwatch = Stopwatch()
    fields = await read_body(request)
    refuse_selectors(fields, "docId", "filepath")
    tags, names = read_tags(fields)
    only_matching = fields.boolean("onlyMatchingChunks")
    message = pb.SearchDocumentsRequest(
        query=fields.needed("q"),
        container_tags=tags,
        filter=read_filter(fields),
        min_score=fields.number("chunkThreshold", 0, 1) or 0,
        limit=read_limit(fields),
        neighbors=_NEIGHBORS if only_matching is False else 0,
        include_content=fields.boolean("includeFullDocs") or False,
    )
    fields.number("documentThreshold", 0, 1)
    fields.texts("categoriesFilter")
    summary = fields.boolean("includeSummary")
    ignore_ranking(fields)
    fields.check()
    names = {**names, "min_score": "chunkThreshold"}
    response = await call(calls, "Documents.SearchDocuments", message, names)
    results = []
    for hit in response.hits:
        result = _document_hit(hit)
        if message.include_content:
            result["content"] = values.text(hit.document)
        if summary:
            result["summary"] = None
        results.append(result)
    return answers.answer(found(results, stopwatch))


def _document_hit(hit: pb.DocumentHit) -> dict[str, Any]:
    document = hit.document
    return {
        "documentId": document.id,
        "title": document.title or None,
        "type": values.kind(document.content_kind),
        "score": hit.score,
        "createdAt": values.moment(document.create_time),
        "updatedAt": values.moment(document.update_time),
        "metadata": values.metadata(document.metadata),
        "chunks": _chunks(hit),
    }


def _chunks(hit: pb.DocumentHit) -> list[dict[str, Any]]:
    """What was found, best first; with its neighbours in the order of the document."""
    shown: dict[int, dict[str, Any]] = {}
    for found in hit.chunks:
        shown[found.chunk.position] = _shown_chunk(found.chunk, found.score, relevant=True)
    found_alone = len(shown)
    for found in hit.chunks:
        for near in (*found.before, *found.after):
            shown.setdefault(near.position, _shown_chunk(near, 0, relevant=False))
    if len(shown) == found_alone:
        return list(shown.values())
    return [shown[position] for position in sorted(shown)]


def _shown_chunk(chunk: Chunk, score: float, *, relevant: bool) -> dict[str, Any]:
    return {
        "content": chunk.text,
        "isRelevant": relevant,
        "position": chunk.position,
        "score": score,
    }


def ignore_ranking(fields: Fields) -> None:
    """Check the types of members that change how the original ranks."""
    fields.boolean("rerank")
    fields.boolean("rewriteQuery")


def found(results: Sequence[Mapping[str, Any]], stopwatch: Stopwatch) -> dict[str, Any]:
    """The answer to a search."""
    return {"results": results, "timing": stopwatch.read(), "total": len(results)}


ENDPOINTS: Final = (Endpoint("POST", "/v3/search", _search_documents, writes=False),)
