"""Memories, their versions and their receipts."""

from __future__ import annotations

from typing import Final

from palimpsest.v1 import memories_pb2 as pb
from service.core import filters
from service.core import model as m
from service.core.errors import Violation
from service.rpc.convert import ids, metadata, times
from service.rpc.convert.filters import read as read_filter

_ORDERS: Final = {int(order): order for order in m.Order}
_DEFAULT_MAX_FORGET: Final = 100


def container(tag: str) -> str:
    return tag or m.DEFAULT_CONTAINER


def new(message: pb.NewMemory, path: str, violations: list[Violation]) -> m.NewMemory:
    """`path`: where the memory is, with a final dot: "memories[3]."."""
    given = None
    if message.HasField("metadata"):
        given = metadata.patch(message.metadata, f"{path}metadata", violations)
    forget_after = None
    if message.HasField("forget_after"):
        forget_after = times.instant(message.forget_after, f"{path}forget_after", violations)
    elif message.forget_reason:
        violations.append(Violation(f"{path}forget_reason", "needs forget_after"))
    ids.check_source(message.source_document_id, f"{path}source_document_id", violations)
    context = m.TemporalContext()
    if message.HasField("temporal_context"):
        context = _context(message.temporal_context, f"{path}temporal_context", violations)
    return m.NewMemory(
        content=message.content,
        metadata=given,
        is_static=message.is_static,
        forget_after=forget_after,
        forget_reason=message.forget_reason,
        temporal=context,
        source_document_id=message.source_document_id or None,
    )


def _context(
    message: pb.TemporalContext, path: str, violations: list[Violation]
) -> m.TemporalContext:
    if message.document_date:
        times.check_text(message.document_date, f"{path}.document_date", violations)
    return m.TemporalContext(
        document_date=message.document_date or None,
        event_dates=_events(message, path, violations),
    )


def _events(
    message: pb.TemporalContext | pb.TemporalContextUpdate, path: str, violations: list[Violation]
) -> tuple[str, ...]:
    events = tuple(message.event_dates)
    for index, text in enumerate(events):
        times.check_text(text, f"{path}.event_dates[{index}]", violations)
    return events


def _context_patch(
    message: pb.TemporalContextUpdate, path: str, violations: list[Violation]
) -> m.TemporalPatch:
    date: str | m.Unset | None = m.UNSET
    match message.WhichOneof("document_date_change"):
        case "document_date":
            date = message.document_date
            times.check_text(message.document_date, f"{path}.document_date", violations)
        case "clear_document_date":
            date = None
    events: tuple[str, ...] | m.Unset = _events(message, path, violations)
    if not events and not message.clear_event_dates:
        events = m.UNSET
    return m.TemporalPatch(date, events)


def target(
    request: pb.UpdateMemoryRequest | pb.ForgetMemoryRequest,
    instead: str,
    violations: list[Violation],
) -> m.MemoryTarget:
    """`instead`: the call that takes a document's id."""
    if request.HasField("id"):
        ids.check_memory(request.id, "id", instead, violations)
    elif not request.HasField("content"):
        violations.append(Violation("id", "id or content must be given"))
    return m.MemoryTarget(
        container=container(request.container_tag),
        id=request.id if request.HasField("id") else None,
        content=request.content if request.HasField("content") else None,
    )


def _schedule(
    request: pb.UpdateMemoryRequest | pb.RestoreMemoryRequest, violations: list[Violation]
) -> int | m.Unset | None:
    match request.WhichOneof("forget_after_change"):
        case "forget_after":
            return times.instant(request.forget_after, "forget_after", violations)
        case "clear_forget_after":
            return None
        case _:
            return m.UNSET


def update(request: pb.UpdateMemoryRequest, violations: list[Violation]) -> m.MemoryUpdate:
    given = None
    if request.HasField("metadata"):
        given = metadata.patch(request.metadata, "metadata", violations)
    forget_after = _schedule(request, violations)
    if forget_after is None and request.forget_reason:
        violations.append(
            Violation("forget_reason", "cannot be given together with clear_forget_after")
        )
    context = None
    if request.HasField("temporal_context"):
        context = _context_patch(request.temporal_context, "temporal_context", violations)
    return m.MemoryUpdate(
        target=target(request, "Documents.UpdateDocument", violations),
        content=request.new_content,
        forget_after=forget_after,
        forget_reason=request.forget_reason if request.HasField("forget_reason") else None,
        metadata=given,
        temporal=context,
        is_static=request.is_static if request.HasField("is_static") else None,
        etag=request.etag or None,
    )


def restore(request: pb.RestoreMemoryRequest, violations: list[Violation]) -> m.MemoryRestore:
    ids.check_memory(request.id, "id", "Documents.GetDocument", violations)
    return m.MemoryRestore(
        container=container(request.container_tag),
        id=request.id,
        forget_after=_schedule(request, violations),
        etag=request.etag or None,
    )


def forget_many(
    request: pb.ForgetMemoriesRequest, violations: list[Violation]
) -> m.MemoryForgetMany:
    for index, text in enumerate(request.ids):
        ids.check_memory(text, f"ids[{index}]", "Documents.BulkDeleteDocuments", violations)
    tree = None
    if request.HasField("filter"):
        tree = read_filter(request.filter, "filter", filters.Target.MEMORY, violations)
    return m.MemoryForgetMany(
        container=container(request.container_tag),
        ids=tuple(request.ids),
        filter=tree,
        max_forget=request.max_forget or _DEFAULT_MAX_FORGET,
        reason=request.reason,
    )


def query(request: pb.ListMemoriesRequest, violations: list[Violation]) -> m.MemoryQuery:
    tree = None
    if request.HasField("filter"):
        tree = read_filter(request.filter, "filter", filters.Target.MEMORY, violations)
    return m.MemoryQuery(
        containers=tuple(request.container_tags),
        filter=tree,
        include_forgotten=request.include_forgotten,
        include_history=request.include_history,
        order=_ORDERS.get(request.order, m.Order.CREATED_DESC),
        as_of=as_of(request, violations),
        source_document_id=request.source_document_id or None,
    )


def as_of(
    request: pb.GetMemoryRequest | pb.ListMemoriesRequest | pb.SearchMemoriesRequest,
    violations: list[Violation],
) -> int | None:
    """The instant that the request reads, in microseconds; None: now."""
    if not request.HasField("as_of"):
        return None
    return times.instant(request.as_of, "as_of", violations)


def to_proto(memory: m.Memory, message: pb.Memory) -> None:
    message.id = memory.id
    message.container_tag = memory.container
    message.content = memory.content
    metadata.to_proto(memory.metadata, message.metadata)
    message.version = memory.version
    message.is_latest = memory.is_latest
    message.forgotten = memory.forgotten
    message.is_static = memory.is_static
    if memory.parent_id:
        message.parent_memory_id = memory.parent_id
    message.root_memory_id = memory.root_id
    message.etag = memory.etag
    times.to_proto(memory.create_time, message.create_time)
    if memory.forget_after is not None:
        times.to_proto(memory.forget_after, message.forget_after)
    message.forget_reason = memory.forget_reason
    if memory.temporal.document_date:
        message.temporal_context.document_date = memory.temporal.document_date
    if memory.temporal.event_dates:
        message.temporal_context.event_dates.extend(memory.temporal.event_dates)
    if memory.source_document_id:
        message.source_document_id = memory.source_document_id
    if memory.forget_time is not None:
        times.to_proto(memory.forget_time, message.forget_time)
    if memory.forget_batch_id:
        message.forget_batch_id = memory.forget_batch_id
    if memory.actor:
        message.actor = memory.actor


def receipt_to_proto(receipt: m.MemoryReceipt, message: pb.MemoryReceipt) -> None:
    message.id = receipt.id
    message.container_tag = receipt.container
    message.version = receipt.version
    if receipt.parent_id:
        message.parent_memory_id = receipt.parent_id
    message.root_memory_id = receipt.root_id
    message.etag = receipt.etag
    message.revision = receipt.revision
    message.is_latest = receipt.is_latest
    message.forgotten = receipt.forgotten
    times.to_proto(receipt.create_time, message.create_time)
    if receipt.forget_after is not None:
        times.to_proto(receipt.forget_after, message.forget_after)
    times.to_proto(receipt.update_time, message.update_time)
