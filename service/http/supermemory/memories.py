"""/v4/memories: creating, listing, updating and forgetting memories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from palimpsest.v1 import memories_pb2 as pb
from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory import values
from service.http.supermemory.answers import answer, memory_entry
from service.http.supermemory.bodies import Fields, read_body
from service.http.supermemory.errors import call, named
from service.http.supermemory.fields import (
    DEFAULT_THRESHOLD,
    pagination,
    read_container,
    read_order,
    read_page,
    read_tags,
)
from service.http.supermemory.filters import read_filter
from service.http.supermemory.search_v4 import older_and_newer
from service.rpc.convert import times

_MAX_CREATED: Final = 100
_MAX_FORGOTTEN: Final = 500
_FORGET_NAMES: Final = {"query": "query", "min_score": "threshold"}


# --- creating ------------------------------------------------------------------------


async def _create(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    message = pb.CreateMemoriesRequest(
        container_tag=read_container(fields), request_id=request.request_id
    )
    for inside in fields.objects("memories", _MAX_CREATED):
        _read_new(inside, message.memories.add())
    fields.check()
    memories = list(message.memories)
    response = await call(calls, "Memories.CreateMemories", message)
    shown = [
        {
            "id": receipt.id,
            "memory": memory.content,
            "isStatic": memory.is_static,
            "createdAt": values.moment(receipt.create_time),
            "forgetAfter": _forget_after(receipt),
            "forgetReason": memory.forget_reason or None,
        }
        for memory, receipt in zip(memories, response.receipts, strict=True)
    ]
    return answer({"documentId": None, "memories": shown}, status=201)


def _read_new(fields: Fields, message: pb.NewMemory) -> None:
    message.content = fields.needed("content")
    message.is_static = fields.boolean("isStatic") or False
    if fields.has("metadata"):
        values.read_metadata(fields, "metadata", fields.anything("metadata"), message.metadata)
    if not fields.is_null("forgetAfter"):
        _read_moment(fields, "forgetAfter", message)
    if not fields.is_null("forgetReason"):
        message.forget_reason = fields.text("forgetReason") or ""
    context = fields.object("temporalContext")
    if context is not None:
        message.temporal_context.SetInParent()
        if not context.is_null("documentDate"):
            message.temporal_context.document_date = context.text("documentDate") or ""
        if not context.is_null("eventDate"):
            message.temporal_context.event_dates.extend(context.texts("eventDate") or ())
        context.refuse_unknown()
    fields.refuse_unknown()


def _read_moment(fields: Fields, name: str, message: pb.NewMemory | pb.UpdateMemoryRequest) -> None:
    instant = fields.instant(name)
    if instant is not None:
        times.to_proto(instant, message.forget_after)


def _forget_after(state: pb.MemoryReceipt | pb.Memory) -> str | None:
    return values.moment(state.forget_after) if state.HasField("forget_after") else None


# --- updating ------------------------------------------------------------------------


async def _update(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    message = pb.UpdateMemoryRequest(
        container_tag=read_container(fields),
        new_content=fields.needed("newContent"),
        request_id=request.request_id,
        etag=request.etag,
    )
    _read_target(fields, message)
    if fields.is_null("forgetAfter"):
        message.clear_forget_after = True
    else:
        _read_moment(fields, "forgetAfter", message)
    if fields.is_null("forgetReason"):
        if not message.clear_forget_after:
            message.forget_reason = ""
    elif fields.has("forgetReason"):
        message.forget_reason = fields.text("forgetReason") or ""
    if fields.has("metadata"):
        values.read_metadata(fields, "metadata", fields.anything("metadata"), message.metadata)
    context = fields.object("temporalContext")
    if context is not None:
        _read_context(context, message.temporal_context)
    fields.check()
    response = await call(calls, "Memories.UpdateMemory", message)
    # Without the version, in the answer to a repeated request whose memory is gone by now.
    receipt, memory = response.receipt, response.version
    return answer(
        {
            "id": receipt.id,
            "createdAt": values.moment(receipt.create_time),
            "forgetAfter": _forget_after(receipt),
            "forgetReason": memory.forget_reason or None,
            "memory": memory.content,
            "metadata": values.metadata(memory.metadata),
            "parentMemoryId": receipt.parent_memory_id,
            "rootMemoryId": receipt.root_memory_id,
            "version": receipt.version,
        },
        etag=receipt.etag,
    )


def _read_target(fields: Fields, message: pb.UpdateMemoryRequest | pb.ForgetMemoryRequest) -> None:
    """Which memory: by id, by content, or by both."""
    name, content = fields.text("id", empty=False), fields.text("content", empty=False)
    if not (fields.has("id") or fields.has("content")):
        fields.refuse("id", "id or content must be given")
    if name is not None:
        message.id = name
    if content is not None:
        message.content = content


def _read_context(fields: Fields, message: pb.TemporalContextUpdate) -> None:
    message.SetInParent()
    if fields.is_null("documentDate"):
        message.clear_document_date = True
    else:
        date = fields.text("documentDate", empty=False)
        if date is not None:
            message.document_date = date
    if fields.is_null("eventDate"):
        message.clear_event_dates = True
    else:
        dates = fields.texts("eventDate")
        message.clear_event_dates = dates == []
        message.event_dates.extend(dates or ())
    fields.refuse_unknown()


# --- forgetting ------------------------------------------------------------------------


async def _forget(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    message = pb.ForgetMemoryRequest(
        container_tag=read_container(fields),
        reason=fields.text("reason") or "",
        request_id=request.request_id,
        etag=request.etag,
    )
    _read_target(fields, message)
    fields.check()
    response = await call(calls, "Memories.ForgetMemory", message)
    return answer({"id": response.receipt.id, "forgotten": response.receipt.forgotten})


async def _forget_matching(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    tag = read_container(fields)
    query, ids = fields.text("query", empty=False), fields.texts("ids")
    if fields.has("query") == fields.has("ids"):
        fields.refuse("query", "exactly one of query and ids must be given")
    elif ids == []:
        fields.refuse("ids", "must not be empty")
    threshold = fields.number("threshold", 0, 1)
    most = fields.integer("maxForget", 1, _MAX_FORGOTTEN)
    preview = fields.boolean("dryRun") or False
    message = pb.ForgetMemoriesRequest(
        container_tag=tag,
        ids=ids,
        max_forget=most or 0,
        reason=fields.text("reason") or "",
        validate_only=preview,
        request_id="" if preview else request.request_id,
    )
    if query is not None:
        message.query = query
        message.min_score = DEFAULT_THRESHOLD if threshold is None else threshold
    fields.check()
    if ids is not None and most is not None and len(ids) > most:
        fields.refuse("ids", f"must have at most maxForget ({most:,}) elements")
        fields.check()
    response = await call(calls, "Memories.ForgetMemories", message, _FORGET_NAMES)
    matches = await _matches(calls, tag, response.matches)
    count = response.forgotten_count
    done = "would be forgotten" if preview else "forgotten"
    return answer(
        {
            "dryRun": preview,
            "count": count,
            "forgetBatchId": response.forget_batch_id or None,
            "summary": f"{count} {'memory' if count == 1 else 'memories'} {done}",
            ("candidates" if preview else "forgotten"): matches,
        }
    )


async def _matches(
    calls: Calls, tag: str, matches: Iterable[pb.ForgetMatch]
) -> list[dict[str, Any]]:
    shown = []
    for match in matches:
        message = pb.GetMemoryRequest(container_tag=tag, id=match.id)
        memory = (await calls.call("Memories.GetMemory", message)).memory
        shown.append({"id": match.id, "memory": memory.content, "score": match.score})
    return shown


# --- listing ------------------------------------------------------------------------


async def _list(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    tags, names = read_tags(fields, required=True)
    message = pb.ListMemoriesRequest(
        container_tags=tags, filter=read_filter(fields), order=read_order(fields)
    )
    page = read_page(fields)
    fields.check()
    listed = calls.numbered_memories(message, page.number, page.size)
    response, total = await named(listed, names)
    entries = [
        memory_entry(memory, await older_and_newer(calls, memory)) for memory in response.memories
    ]
    return answer({"memoryEntries": entries, "pagination": pagination(page, total)})


ENDPOINTS: Final = (
    Endpoint("POST", "/v4/memories", _create, writes=True),
    Endpoint("PATCH", "/v4/memories", _update, writes=True),
    Endpoint("DELETE", "/v4/memories", _forget, writes=True),
    Endpoint("POST", "/v4/memories/list", _list, writes=False),
    Endpoint("POST", "/v4/memories/forget-matching", _forget_matching, writes=True),
)
