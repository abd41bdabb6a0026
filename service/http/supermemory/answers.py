"""Answers in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from palimpsest.v1.documents_pb2 import Document
from palimpsest.v1.memories_pb2 import Memory
from service.http.endpoints import HttpAnswer
from service.http.supermemory import values


def answer(value: Any, *, status: int = 200, etag: str = "") -> HttpAnswer:
    """A value as JSON; `etag` becomes the header of its name."""
    headers = (("etag", f'"{etag}"'),) if etag else ()
    return HttpAnswer(status, orjson.dumps(value), headers=headers)


def listed_document(document: Document) -> dict[str, Any]:
    """A document in a list."""
    return {
        "id": document.id,
        "customId": document.custom_id or None,
        "connectionId": None,
        "containerTags": list(document.container_tags),
        "createdAt": values.moment(document.create_time),
        "updatedAt": values.moment(document.update_time),
        "metadata": values.metadata(document.metadata),
        "status": values.status(document.status),
        "summary": None,
        "title": document.title or None,
        "type": values.kind(document.content_kind),
        "filepath": None,
        "url": None,
    }


def whole_document(document: Document, memories: Sequence[Memory] = ()) -> dict[str, Any]:
    """A document by itself.

    Args:
        document: With its content.
        memories: Those that came from it.
    """
    found = listed_document(document) | {
        "activeContentUpdateId": None,
        "content": values.text(document),
        "dreamingStatus": "done",
        "latestRevision": document.revision,
        "ogImage": None,
        "raw": None,
        "source": None,
        "taskType": "memory",
        "tombstonedAt": None,
    }
    if memories:
        found["memories"] = [_memory_of_document(memory) for memory in memories]
    return found


def _memory_of_document(memory: Memory) -> dict[str, Any]:
    return _version(memory) | {"sourceCount": 1}


def memory_entry(memory: Memory, history: Sequence[Memory]) -> dict[str, Any]:
    """A memory in a list.

    Args:
        memory: The version.
        history: The versions before it, newest first.
    """
    return _version(memory) | {
        "documentIds": [memory.source_document_id] if memory.source_document_id else [],
        "forgetAfter": _moment_or_none(memory, "forget_after"),
        "forgetReason": memory.forget_reason or None,
        "history": [
            _version(older)
            | {
                "forgetAfter": _moment_or_none(older, "forget_after"),
                "forgetReason": older.forget_reason or None,
            }
            for older in history
        ],
        "memoryRelations": (
            {memory.parent_memory_id: "updates"} if memory.parent_memory_id else {}
        ),
        "spaceId": memory.container_tag,
        "temporalContext": temporal_context(memory),
    }


def _version(memory: Memory) -> dict[str, Any]:
    created = values.moment(memory.create_time)
    return {
        "id": memory.id,
        "memory": memory.content,
        "metadata": values.metadata(memory.metadata),
        "version": memory.version,
        "parentMemoryId": memory.parent_memory_id or None,
        "rootMemoryId": root(memory),
        "isForgotten": memory.forgotten,
        "isInference": False,
        "isLatest": memory.is_latest,
        "isStatic": memory.is_static,
        "createdAt": created,
        "updatedAt": updated(memory),
    }


def updated(memory: Memory) -> str:
    """When the version was last changed: made, or forgotten."""
    forgotten = memory.HasField("forget_time")
    return values.moment(memory.forget_time if forgotten else memory.create_time)


def root(memory: Memory) -> str | None:
    """The first version of a memory; None: it is the first."""
    return memory.root_memory_id if memory.version > 1 else None


def temporal_context(memory: Memory) -> dict[str, Any] | None:
    if not memory.HasField("temporal_context"):
        return None
    return {
        "documentDate": memory.temporal_context.document_date or None,
        "eventDate": list(memory.temporal_context.event_dates),
    }


def _moment_or_none(memory: Memory, name: str) -> str | None:
    return values.moment(getattr(memory, name)) if memory.HasField(name) else None  # type: ignore[arg-type]
