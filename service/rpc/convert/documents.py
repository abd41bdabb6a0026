"""Documents, their writes and their receipts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from palimpsest.v1 import documents_pb2 as pb
from palimpsest.v1 import errors_pb2
from service.core import files, filters
from service.core import model as m
from service.core.conversations import MAX_BYTES, Message, decode, encode
from service.core.errors import Reason, Violation
from service.core.ids import is_document_id
from service.core.metadata import MetadataPatch
from service.rpc.convert import ids, metadata, times
from service.rpc.convert.filters import read as read_filter

_MODES: Final = {int(mode): mode for mode in m.UpsertMode}
_STATUSES: Final = {int(status): status for status in m.Status}
_STATUS_NUMBERS: Final = {m.Status(n): n for n in pb.DocumentStatus.values() if n}
_KINDS: Final = {int(kind): kind for kind in m.ContentKind}
_KIND_NUMBERS: Final = {m.ContentKind(n): n for n in pb.ContentKind.values() if n}
_CUSTOM_ID: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]+").fullmatch
_ORDERS: Final = {int(order): order for order in m.Order}

FINAL: Final = frozenset({m.Status.DONE, m.Status.FAILED})
"""Statuses after which nothing follows without another write."""


def write(
    request: pb.UpsertDocumentRequest, violations: list[Violation], path: str = ""
) -> m.DocumentWrite:
    """`path`: where the request is, with a final dot: "items[3]."."""
    given = _metadata(request, violations, path)
    mode = _MODES.get(request.mode, m.UpsertMode.CREATE_OR_UPDATE)
    if mode is m.UpsertMode.UPDATE_ONLY and not request.custom_id:
        violations.append(Violation(f"{path}mode", "to update only, give the custom_id"))
    content: m.Content = request.content_bytes or request.content
    if request.HasField("conversation"):
        content = _encoded(request.conversation, f"{path}conversation", violations)
    return m.DocumentWrite(
        content=content,
        custom_id=request.custom_id or None,
        containers=tuple(request.container_tags),
        metadata=given,
        title=request.title if request.HasField("title") else None,
        document_date=_date(request, violations, path),
        mode=mode,
        etag=request.etag or None,
        kind=_kind(request, path, violations),
    )


def writes(
    request: pb.BatchUpsertDocumentsRequest, violations: list[Violation]
) -> list[m.DocumentWrite]:
    found = []
    for index, item in enumerate(request.items):
        path = f"items[{index}]."
        if item.request_id:
            violations.append(
                Violation(f"{path}request_id", "must be given to the batch, not an item")
            )
        if item.wait:
            violations.append(Violation(f"{path}wait", "must be given to the batch, not an item"))
        found.append(write(item, violations, path))
    return found


def _kind(
    request: pb.UpsertDocumentRequest | pb.UpdateDocumentRequest,
    path: str,
    violations: list[Violation],
) -> m.ContentKind | None:
    # A number that is no kind has been found by the annotations.
    kind = _KINDS.get(request.content_kind)
    talks, has_file = request.HasField("conversation"), bool(request.content_bytes)
    agrees = talks == (kind is m.ContentKind.CONVERSATION)
    if has_file or request.content:
        agrees = agrees and has_file == (kind in m.FILE_KINDS)
    if kind is not None and not agrees:
        rule = "must agree with what is given: content, conversation or content_bytes"
        violations.append(Violation(f"{path}content_kind", rule))
    if has_file and kind is None:
        kind = files.kind_of(request.content_bytes)
        if kind is None:
            rule = "must be a PDF or a Word document (DOCX); a damaged one needs its content_kind"
            violations.append(Violation(f"{path}content_bytes", rule))
    return m.ContentKind.CONVERSATION if talks else kind


def messages(
    given: Iterable[pb.ConversationMessage], path: str, violations: list[Violation]
) -> tuple[Message, ...]:
    return tuple(
        Message(
            message.speaker,
            message.text,
            times.instant(message.time, f"{path}[{index}].time", violations)
            if message.HasField("time")
            else None,
            message.image_caption,
            message.utc_offset_minutes if message.HasField("utc_offset_minutes") else None,
        )
        for index, message in enumerate(given)
    )


def _encoded(conversation: pb.Conversation, path: str, violations: list[Violation]) -> str:
    encoded = encode(messages(conversation.messages, f"{path}.messages", violations))
    _check_size(encoded, path, violations)
    return encoded


def _check_size(encoded: str, path: str, violations: list[Violation]) -> None:
    if len(encoded.encode()) > MAX_BYTES:
        violations.append(Violation(path, f"must be at most {MAX_BYTES} bytes as compact JSON"))


def append(request: pb.AppendMessagesRequest, violations: list[Violation]) -> m.MessagesAppend:
    ids.check_document(request.id, "id", "Memories.UpdateMemory", violations)
    if request.create_if_missing and not is_document_id(request.id) and not _CUSTOM_ID(request.id):
        violations.append(Violation("id", "must not contain control characters"))
    added = messages(request.messages, "messages", violations)
    _check_size(encode(added), "messages", violations)
    home, tags = request.container_tag, request.container_tags
    if home and tags and home != tags[0]:
        violations.append(Violation("container_tag", "must be the first of container_tags"))
    return m.MessagesAppend(
        request.id,
        added,
        request.create_if_missing,
        tuple(request.container_tags),
        metadata=_metadata(request, violations),
        title=request.title if request.HasField("title") else None,
        etag=request.etag or None,
        home=home,
    )


def _metadata(
    request: pb.UpsertDocumentRequest | pb.UpdateDocumentRequest | pb.AppendMessagesRequest,
    violations: list[Violation],
    path: str = "",
) -> MetadataPatch | None:
    if not request.HasField("metadata"):
        return None
    return metadata.patch(request.metadata, f"{path}metadata", violations)


def _date(
    request: pb.UpsertDocumentRequest | pb.UpdateDocumentRequest,
    violations: list[Violation],
    path: str = "",
) -> int | m.Unset | None:
    match request.WhichOneof("document_date_change"):
        case "document_date":
            return times.instant(request.document_date, f"{path}document_date", violations)
        case "clear_document_date":
            return None
        case _:
            return m.UNSET


def patch(request: pb.UpdateDocumentRequest, violations: list[Violation]) -> m.DocumentPatch:
    ids.check_document(request.id, "id", "Memories.UpdateMemory", violations)
    given = _metadata(request, violations)
    content: m.Content | None = request.content if request.HasField("content") else None
    if request.HasField("content_bytes"):
        content = request.content_bytes
    if request.HasField("conversation"):
        content = _encoded(request.conversation, "conversation", violations)
    return m.DocumentPatch(
        id=request.id,
        content=content,
        containers=tuple(request.container_tags),
        metadata=given,
        title=request.title if request.HasField("title") else None,
        document_date=_date(request, violations),
        etag=request.etag or None,
        kind=_kind(request, "", violations),
        home=request.container_tag,
    )


def query(request: pb.ListDocumentsRequest, violations: list[Violation]) -> m.DocumentQuery:
    tree = None
    if request.HasField("filter"):
        tree = read_filter(request.filter, "filter", filters.Target.DOCUMENT, violations)
    return m.DocumentQuery(
        containers=tuple(request.container_tags),
        match_all=request.match_all_containers,
        filter=tree,
        statuses=tuple(_STATUSES[number] for number in request.statuses if number in _STATUSES),
        custom_id_prefix=request.custom_id_prefix,
        order=_ORDERS.get(request.order, m.Order.CREATED_DESC),
        include_content=request.include_content,
    )


def to_proto(document: m.Document, message: pb.Document) -> None:
    message.id = document.id
    if document.custom_id:
        message.custom_id = document.custom_id
    message.content_kind = _KIND_NUMBERS[document.kind]
    if isinstance(document.content, str) and document.kind is m.ContentKind.CONVERSATION:
        _conversation_to_proto(document.content, message.conversation)
    elif isinstance(document.content, bytes):
        message.content_bytes = document.content
    elif document.content:
        message.content = document.content
    metadata.to_proto(document.metadata, message.metadata)
    message.container_tags.extend(document.containers)
    message.status = _STATUS_NUMBERS[document.status]
    if document.title:
        message.title = document.title
    if document.document_date is not None:
        times.to_proto(document.document_date, message.document_date)
    message.etag = document.etag
    message.revision = document.revision
    times.to_proto(document.create_time, message.create_time)
    times.to_proto(document.update_time, message.update_time)
    if document.error:
        message.error = document.error
    if document.attempts:
        message.attempt_count = document.attempts
    message.chunk_count = document.chunks


def _conversation_to_proto(content: str, message: pb.Conversation) -> None:
    for one in decode(content):
        added = message.messages.add(
            speaker=one.speaker, text=one.text, image_caption=one.image_caption
        )
        if one.instant is not None:
            times.to_proto(one.instant, added.time)
        if one.offset is not None:
            added.utc_offset_minutes = one.offset


def watch_response(state: m.Document | str) -> pb.WatchDocumentResponse:
    """A state of a document; a text is the id of one that was deleted."""
    response = pb.WatchDocumentResponse()
    if isinstance(state, str):
        response.document.id = state
        response.deleted = True
    else:
        to_proto(state, response.document)
        response.document.ClearField("content")
        response.document.ClearField("content_bytes")
        response.document.ClearField("conversation")
    return response


def status_number(status: m.Status) -> pb.DocumentStatus.ValueType:
    return _STATUS_NUMBERS[status]


def receipt_to_proto(
    receipt: m.DocumentReceipt, message: pb.DocumentReceipt, custom_id: str
) -> None:
    """`custom_id` as the request has it: receipts do not keep it."""
    message.id = receipt.id
    if custom_id and not is_document_id(custom_id):
        message.custom_id = custom_id
    message.created = receipt.created
    message.changed = receipt.changed
    message.status = _STATUS_NUMBERS[receipt.status]
    message.etag = receipt.etag
    message.revision = receipt.revision
    times.to_proto(receipt.create_time, message.create_time)
    times.to_proto(receipt.update_time, message.update_time)


def failure_to_proto(failure: m.ItemFailure, message: errors_pb2.ItemError) -> None:
    message.code = int(Reason[failure.reason].code)
    message.reason = failure.reason
    message.message = failure.message
