"""/v3/documents: adding, reading, changing and deleting documents."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from palimpsest.v1 import documents_pb2 as pb
from palimpsest.v1 import filter_pb2
from palimpsest.v1.errors_pb2 import ItemError
from palimpsest.v1.memories_pb2 import ListMemoriesRequest
from service.core.errors import Reason
from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory import values
from service.http.supermemory.answers import answer, listed_document, whole_document
from service.http.supermemory.bodies import Fields, from_query, read_body
from service.http.supermemory.errors import call, named
from service.http.supermemory.fields import (
    MAX_PAGE,
    PageFields,
    ignore_ingestion,
    pagination,
    read_order,
    read_page,
    read_tags,
    refuse_selectors,
)
from service.http.supermemory.filters import read_filter
from service.rpc.convert import times

_MAX_BATCH: Final = 600
_STUCK_SECONDS: Final = 4 * 3600
_ACTIVE: Final = (
    pb.DOCUMENT_STATUS_QUEUED,
    pb.DOCUMENT_STATUS_EXTRACTING,
    pb.DOCUMENT_STATUS_CHUNKING,
    pb.DOCUMENT_STATUS_EMBEDDING,
    pb.DOCUMENT_STATUS_INDEXING,
)
_NOT_FOUND: Final = "Memory not found"
"""The original calls documents so where it deletes many."""


def read_write(fields: Fields, message: pb.UpsertDocumentRequest) -> dict[str, str]:
    """Write what a new document is, all but its content, into the message.

    Returns: The caller's names of the contract's fields, below the message.
    """
    tags, names = read_tags(fields, empty=True)
    message.container_tags.extend(tags)
    message.custom_id = fields.text("customId", empty=False) or ""
    if fields.has("metadata"):
        values.read_metadata(fields, "metadata", fields.anything("metadata"), message.metadata)
    date = fields.instant("documentDate")
    if date is not None:
        times.to_proto(date, message.document_date)
    ignore_ingestion(fields)
    return dict(names)


def added(receipt: pb.DocumentReceipt) -> dict[str, str]:
    """What the caller is told of a document that was written."""
    found = {"id": receipt.id, "status": values.status(receipt.status)}
    return found | ({"customId": receipt.custom_id} if receipt.custom_id else {})


async def _add(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    message = pb.UpsertDocumentRequest(request_id=request.request_id, etag=request.etag)
    message.content = fields.needed("content")
    names = read_write(fields, message)
    fields.check()
    response = await call(calls, "Documents.UpsertDocument", message, names)
    return answer(added(response.receipt), etag=response.receipt.etag)


async def _add_batch(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    defaults = pb.UpsertDocumentRequest()
    if not fields.is_null("content"):
        refuse_selectors(fields, "content")
    shared = read_write(fields, defaults)
    if defaults.custom_id:
        fields.refuse("customId", "goes into the documents")
    message = pb.BatchUpsertDocumentsRequest(request_id=request.request_id)
    names = {"items": "documents"}
    for index, given in enumerate(fields.elements("documents", _MAX_BATCH)):
        item, path = message.items.add(), f"items[{index}]"
        own: Mapping[str, str] = {}
        if isinstance(given, str):
            item.content = given
        elif isinstance(given, dict):
            inside = fields.inside(given, f"documents[{index}]")
            item.content = inside.needed("content")
            own = read_write(inside, item)
            inside.refuse_unknown()
        else:
            fields.refuse(f"documents[{index}]", "must be an object or a string")
        for name, theirs in own.items():
            names[f"{path}.{name}"] = f"documents[{index}].{theirs}"
        if not item.container_tags and defaults.container_tags:
            item.container_tags.extend(defaults.container_tags)
            names.update({f"{path}.{name}": theirs for name, theirs in shared.items()})
        if not item.HasField("metadata") and defaults.HasField("metadata"):
            item.metadata.CopyFrom(defaults.metadata)
        if not item.HasField("document_date") and defaults.HasField("document_date"):
            item.document_date.CopyFrom(defaults.document_date)
    fields.check()
    response = await call(calls, "Documents.BatchUpsertDocuments", message, names)
    results = [_outcome(outcome) for outcome in response.outcomes]
    failed = sum(result["status"] == "error" for result in results)
    return answer({"results": results, "failed": failed, "success": len(results) - failed})


def _outcome(outcome: pb.BatchUpsertOutcome) -> dict[str, str]:
    if outcome.HasField("receipt"):
        return added(outcome.receipt)
    error = outcome.error
    return {"id": "", "status": "error", "error": error.message, "details": error.reason}


async def _list(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    refuse_selectors(fields, "filepath")
    tags, names = read_tags(fields)
    message = pb.ListDocumentsRequest(
        container_tags=tags,
        filter=read_filter(fields),
        include_content=fields.boolean("includeContent") or False,
        order=read_order(fields),
    )
    page = read_page(fields)
    fields.check()
    listed = calls.numbered_documents(message, page.number, page.size)
    response, total = await named(listed, names)
    shown = []
    for document in response.documents:
        found = listed_document(document)
        if message.include_content:
            found["content"] = values.text(document)
        shown.append(found)
    return answer({"memories": shown, "pagination": pagination(page, total)})


async def _list_processing(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = from_query(request.query)
    view = fields.choice("view", "active", "pending", "all") or "active"
    page = read_page(fields)
    listed = fields.text("containerTags")
    fields.check()
    now = time.time()
    message = pb.ListDocumentsRequest(statuses=_ACTIVE)
    if listed is not None:
        message.container_tags.extend(tag.strip() for tag in listed.split(","))
    if view == "all":
        message.statuses.append(pb.DOCUMENT_STATUS_FAILED)
    else:
        page = PageFields(1, MAX_PAGE)
    if view == "active":
        message.filter.CopyFrom(_written_since(now - _STUCK_SECONDS))
    found_page = calls.numbered_documents(message, page.number, page.size)
    response, total = await named(found_page, {"container_tags": "containerTags"})
    shown = []
    for document in response.documents:
        found = listed_document(document)
        failed = document.status == pb.DOCUMENT_STATUS_FAILED
        idle = now - document.update_time.seconds
        found["stuck"] = not failed and idle > _STUCK_SECONDS
        if failed:
            found["errorMessage"] = document.error
        shown.append(found)
    body: dict[str, Any] = {"documents": shown, "totalCount": total}
    if view == "all":
        body["pagination"] = pagination(page, total)
    return answer(body)


def _written_since(seconds: float) -> filter_pb2.Filter:
    instant = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    return filter_pb2.Filter(
        condition=filter_pb2.Condition(field=filter_pb2.FILTER_FIELD_UPDATED, at_or_after=instant)
    )


class _Target(NamedTuple):
    """The document of a path, by id or custom id, and the container in which it is looked for."""

    id: str
    container_tag: str


def _target(request: HttpRequest) -> _Target:
    fields = from_query(request.query)
    tag = fields.text("containerTag", empty=False)
    fields.check()
    return _Target(request.parameters["id"], tag or "")


async def _read(calls: Calls, request: HttpRequest) -> pb.Document:
    where = _target(request)
    message = pb.GetDocumentRequest(id=where.id, container_tag=where.container_tag)
    document: pb.Document = (await call(calls, "Documents.GetDocument", message)).document
    return document


async def _get(calls: Calls, request: HttpRequest) -> HttpAnswer:
    document = await _read(calls, request)
    from_it = ListMemoriesRequest(
        container_tags=document.container_tags, source_document_id=document.id, page_size=MAX_PAGE
    )
    memories = (await call(calls, "Memories.ListMemories", from_it)).memories
    return answer(whole_document(document, memories), etag=document.etag)


async def _list_chunks(calls: Calls, request: HttpRequest) -> HttpAnswer:
    document = await _read(calls, request)
    indexed = values.moment(document.update_time)
    shown: list[dict[str, Any]] = []
    message = pb.ListChunksRequest(id=document.id, page_size=MAX_PAGE)
    while True:
        response = await call(calls, "Documents.ListChunks", message)
        shown.extend(
            {
                "id": chunk.id,
                "position": chunk.position,
                "content": chunk.text,
                "type": "text",
                "createdAt": indexed,
                "metadata": {"heading": chunk.heading} if chunk.heading else None,
            }
            for chunk in response.chunks
        )
        if not response.next_page_token:
            return answer({"documentId": document.id, "chunks": shown, "total": len(shown)})
        message = pb.ListChunksRequest(
            id=document.id, page_size=MAX_PAGE, page_token=response.next_page_token
        )


async def _update(calls: Calls, request: HttpRequest) -> HttpAnswer:
    where = _target(request)
    fields = await read_body(request)
    message = pb.UpdateDocumentRequest(
        id=where.id,
        container_tag=where.container_tag,
        request_id=request.request_id,
        etag=request.etag,
    )
    tags, names = read_tags(fields)
    message.container_tags.extend(tags)
    content = fields.text("content")
    if content is not None:
        message.content = content
    if fields.has("metadata"):
        values.read_metadata(fields, "metadata", fields.anything("metadata"), message.metadata)
    date = fields.instant("documentDate")
    if date is not None:
        times.to_proto(date, message.document_date)
    fields.text("customId")
    if fields.has("customId"):
        fields.refuse("customId", "cannot be changed")
    ignore_ingestion(fields)
    fields.check()
    response = await call(calls, "Documents.UpdateDocument", message, names)
    receipt = response.receipt
    return answer({"id": receipt.id, "status": values.status(receipt.status)}, etag=receipt.etag)


async def _delete(calls: Calls, request: HttpRequest) -> HttpAnswer:
    where = _target(request)
    message = pb.DeleteDocumentRequest(
        id=where.id,
        container_tag=where.container_tag,
        request_id=request.request_id,
        etag=request.etag,
    )
    await call(calls, "Documents.DeleteDocument", message)
    return HttpAnswer(204)


async def _delete_bulk(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    refuse_selectors(fields, "filepath")
    ids, tags = fields.texts("ids"), fields.texts("containerTags")
    if fields.has("ids") == fields.has("containerTags"):
        fields.refuse("ids", "exactly one of ids and containerTags must be given")
    elif not (ids or tags):
        fields.refuse("ids" if fields.has("ids") else "containerTags", "must not be empty")
    fields.check()
    message = pb.BulkDeleteDocumentsRequest(
        ids=ids or (), container_tags=tags or (), request_id=request.request_id
    )
    names = {"container_tags": "containerTags"}
    response = await call(calls, "Documents.BulkDeleteDocuments", message, names)
    body: dict[str, Any] = {
        "success": response.success,
        "deletedCount": response.deleted_count,
    }
    if response.errors:
        body["errors"] = [
            {"id": error.id, "error": _fault(error.error)} for error in response.errors
        ]
    if tags:
        body["containerTags"] = list(response.container_tags)
    return answer(body)


def _fault(error: ItemError) -> str:
    return _NOT_FOUND if error.reason == Reason.DOCUMENT_NOT_FOUND else error.message


ENDPOINTS: Final = (
    Endpoint("POST", "/v3/documents", _add, writes=True),
    Endpoint("POST", "/v3/documents/batch", _add_batch, writes=True),
    Endpoint("POST", "/v3/documents/list", _list, writes=False),
    Endpoint("GET", "/v3/documents/processing", _list_processing, writes=False),
    Endpoint("DELETE", "/v3/documents/bulk", _delete_bulk, writes=True),
    Endpoint("GET", "/v3/documents/{id}", _get, writes=False),
    Endpoint("GET", "/v3/documents/{id}/chunks", _list_chunks, writes=False),
    Endpoint("PATCH", "/v3/documents/{id}", _update, writes=True),
    Endpoint("DELETE", "/v3/documents/{id}", _delete, writes=True),
)
