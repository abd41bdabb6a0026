"""/v4/search: finding memories, and chunks of documents with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from palimpsest.v1.documents_pb2 import (
    Document,
    SearchDocumentsRequest,
)
from palimpsest.v1.memories_pb2 import (
    ListMemoryVersionsRequest,
    Memory,
    SearchMemoriesRequest,
)
from palimpsest.v1.search_pb2 import Chunk
from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory import answers, values
from service.http.supermemory.bodies import Fields, read_body
from service.http.supermemory.errors import call
from service.http.supermemory.fields import read_limit, read_tags, read_threshold, refuse_selectors
from service.http.supermemory.filters import read_filter
from service.http.supermemory.search_v3 import Stopwatch, found, ignore_ranking


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory or a chunk that was found.

    Args:
        score: From 0 to 1.
        found: What it is.
        document: The one it is of, or came from; without content. None: of none that is known.
    """

    score: float
    found: Memory | Chunk
    document: Document | None


class Include:
    """What is shown with each hit."""

    def __init__(self, fields: Fields) -> None:
        inside = fields.object("include") or Fields({})
        self.chunks = inside.boolean("chunks") or False
        self.documents = inside.boolean("documents") or False
        self.forgotten = inside.boolean("forgottenMemories") or False
        self.related = inside.boolean("relatedMemories") or False
        self.summaries = inside.boolean("summaries") or False
        inside.refuse_unknown()


async def _search(calls: Calls, request: HttpRequest) -> HttpAnswer:
    stopwatch = Stopwatch()
    fields = await read_body(request)
    refuse_selectors(fields, "filepath")
    tags, names = read_tags(fields)
    mode = fields.choice("searchMode", "memories", "hybrid", "documents") or "memories"
    include = Include(fields)
    message = SearchMemoriesRequest(
        query=fields.needed("q"),
        container_tags=tags,
        filter=read_filter(fields),
        min_score=read_threshold(fields),
        limit=read_limit(fields),
        include_forgotten=include.forgotten,
        include_chunks=True,
        include_documents=True,
    )
    fields.boolean("aggregate")
    ignore_ranking(fields)
    fields.check()
    if mode == "documents":
        hits = await _search_chunks(calls, message, names)
    else:
        hits = await search_memories(calls, message, names)
    # Chunks that are asked for with the deprecated member make the search a hybrid one.
    as_memories = mode == "memories" and not include.chunks
    shown = await show(calls, hits, as_memories=as_memories, include=include)
    return answers.answer(found(shown, stopwatch))


async def search_memories(
    calls: Calls, message: SearchMemoriesRequest, names: Mapping[str, str]
) -> list[Hit]:
    """The memories, and with include_chunks the chunks, that a search finds."""
    response = await call(calls, "Memories.SearchMemories", message, names)
    documents = {document.id: document for document in response.documents}
    hits = []
    for hit in response.hits:
        if hit.HasField("chunk"):
            hits.append(Hit(hit.score, hit.chunk, documents.get(hit.chunk.document_id)))
        else:
            source = documents.get(hit.memory.source_document_id)
            hits.append(Hit(hit.score, hit.memory, source))
    return hits


async def _search_chunks(
    calls: Calls, message: SearchMemoriesRequest, names: Mapping[str, str]
) -> list[Hit]:
    documents = SearchDocumentsRequest(
        query=message.query,
        container_tags=message.container_tags,
        filter=message.filter if message.HasField("filter") else None,
        min_score=message.min_score,
        limit=message.limit,
    )
    response = await call(calls, "Documents.SearchDocuments", documents, names)
    hits = [
        Hit(chunk.score, chunk.chunk, hit.document) for hit in response.hits for chunk in hit.chunks
    ]
    return sorted(hits, key=lambda hit: -hit.score)


async def show(
    calls: Calls, hits: Sequence[Hit], *, as_memories: bool, include: Include
) -> list[dict[str, Any]]:
    """Hits as results.

    Args:
        calls: For what is shown with them.
        hits: Best first.
        as_memories: Whether the text of a chunk is shown as that of a memory.
        include: What is shown with them.
    """
    results = []
    for hit in hits:
        if isinstance(hit.found, Memory):
            result = _memory(hit.found)
            if include.related:
                result["context"] = await _context(calls, hit.found)
        else:
            result = _chunk(hit.found, hit.document, "memory" if as_memories else "chunk")
            if include.chunks:
                result["chunks"] = [_embedded(hit.found, hit.score)]
        result["similarity"] = hit.score
        if include.documents:
            sources = [] if hit.document is None else [hit.document]
            result["documents"] = [_source(source, include) for source in sources]
        results.append(result)
    return results


def _memory(memory: Memory) -> dict[str, Any]:
    return {
        "id": memory.id,
        "memory": memory.content,
        "metadata": values.metadata(memory.metadata),
        "rootMemoryId": answers.root(memory),
        "updatedAt": answers.updated(memory),
        "version": memory.version,
    }


def _chunk(chunk: Chunk, document: Document | None, name: str) -> dict[str, Any]:
    return {
        "id": chunk.id,
        name: chunk.text,
        "metadata": None if document is None else values.metadata(document.metadata),
        "updatedAt": "" if document is None else values.moment(document.update_time),
    }


def _embedded(chunk: Chunk, score: float) -> dict[str, Any]:
    """A chunk in a result, where older clients look for it."""
    return {
        "content": chunk.text,
        "documentId": chunk.document_id,
        "position": chunk.position,
        "score": score,
    }


def _source(document: Document, include: Include) -> dict[str, Any]:
    shown = {
        "id": document.id,
        "createdAt": values.moment(document.create_time),
        "updatedAt": values.moment(document.update_time),
        "metadata": values.metadata(document.metadata),
        "title": document.title or None,
        "type": values.kind(document.content_kind),
    }
    return shown | ({"summary": None} if include.summaries else {})


async def _context(calls: Calls, memory: Memory) -> dict[str, Any]:
    """The versions of a memory around this one, nearest first."""
    versions = await older_and_newer(calls, memory)
    near = sorted(versions, key=lambda other: abs(other.version - memory.version))
    shown: list[dict[str, Any]] = [
        {
            "memory": other.content,
            "metadata": values.metadata(other.metadata),
            "relation": "updates",
            "updatedAt": answers.updated(other),
            "version": other.version - memory.version,
        }
        for other in near
    ]
    return {
        "parents": [one for one in shown if one["version"] < 0],
        "children": [one for one in shown if one["version"] > 0],
        "related": [],
    }


async def older_and_newer(calls: Calls, memory: Memory) -> list[Memory]:
    """The other versions of a memory: its first 1,000, newest first."""
    if memory.version == 1 and memory.is_latest:
        return []
    message = ListMemoryVersionsRequest(
        container_tag=memory.container_tag, id=memory.id, page_size=1000
    )
    response = await calls.call("Memories.ListMemoryVersions", message)
    return [other for other in response.memories if other.id != memory.id]


ENDPOINTS: Final = (Endpoint("POST", "/v4/search", _search, writes=False),)
