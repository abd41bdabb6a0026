"""Memories and their receipts, written into answers."""

from __future__ import annotations

from palimpsest.v1 import memories_pb2 as pb
from service.core import model as m
from service.rpc.convert import metadata, times


def fill(message: pb.Memory, memory: m.Memory) -> None:
    message.id = memory.id
    message.container_tag = memory.container
    message.content = memory.content
    metadata.fill(message.metadata, memory.metadata)
    message.version = memory.version
    message.is_latest = memory.is_latest
    message.forgotten = memory.forgotten
    message.is_static = memory.is_static
    if memory.parent_id:
        message.parent_memory_id = memory.parent_id
    message.root_memory_id = memory.root_id
    message.etag = memory.etag
    times.fill(message.create_time, memory.create_time)
    if memory.forget_after is not None:
        times.fill(message.forget_after, memory.forget_after)
    message.forget_reason = memory.forget_reason
    if memory.temporal.document_date:
        message.temporal_context.document_date = memory.temporal.document_date
    if memory.temporal.event_dates:
        message.temporal_context.event_dates.extend(memory.temporal.event_dates)
    if memory.source_document_id:
        message.source_document_id = memory.source_document_id
    if memory.forget_time is not None:
        times.fill(message.forget_time, memory.forget_time)
    if memory.forget_batch_id:
        message.forget_batch_id = memory.forget_batch_id


def fill_receipt(message: pb.MemoryReceipt, receipt: m.MemoryReceipt) -> None:
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
    times.fill(message.create_time, receipt.create_time)
    if receipt.forget_after is not None:
        times.fill(message.forget_after, receipt.forget_after)
    times.fill(message.update_time, receipt.update_time)
