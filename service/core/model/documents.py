"""Documents: what is written, what is stored, what is answered and how they are listed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from service.core.conversations import Message
from service.core.filters import Filter
from service.core.metadata import MetadataPatch
from service.core.model.base import UNSET, Order, Unset


class Status(IntEnum):
    """Numbers of the contract's DocumentStatus."""

    QUEUED = 1
    EXTRACTING = 2
    CHUNKING = 3
    EMBEDDING = 4
    INDEXING = 5
    DONE = 6
    FAILED = 7


class ContentKind(IntEnum):
    """Numbers of the contract's ContentKind."""

    TEXT = 1
    MARKDOWN = 2
    HTML = 3
    CONVERSATION = 4
    PDF = 5
    DOCX = 6


FILE_KINDS = frozenset({ContentKind.PDF, ContentKind.DOCX})
"""Kinds whose content is bytes; that of the others is text."""

Content: TypeAlias = str | bytes


def encoded(content: Content) -> bytes:
    """Content as it is stored."""
    return content if isinstance(content, bytes) else content.encode()


def decoded(kind: ContentKind, data: bytes) -> Content:
    """Content of this kind that `encoded` made."""
    return bytes(data) if kind in FILE_KINDS else str(data, "utf-8")


class UpsertMode(IntEnum):
    """Numbers of the contract's UpsertMode."""

    CREATE_OR_UPDATE = 1
    CREATE_ONLY = 2
    UPDATE_ONLY = 3


@dataclass(frozen=True, slots=True)
class DocumentWrite:
    """An upsert. None (or UNSET) keeps; `title` "" and `document_date` None clear.

    The content of a conversation is encoded by `conversations.encode`.
    """

    content: Content
    custom_id: str | None = None
    containers: tuple[str, ...] = ()
    metadata: MetadataPatch | None = None
    title: str | None = None
    document_date: int | Unset | None = UNSET
    mode: UpsertMode = UpsertMode.CREATE_OR_UPDATE
    etag: str | None = None
    kind: ContentKind | None = None


@dataclass(frozen=True, slots=True)
class DocumentPatch:
    """An update of the document called `id` (its id or custom id).

    `home` here and in what follows: of a custom id the first of its document's containers,
    of an id any of them; empty: not said.
    """

    id: str
    content: Content | None = None
    containers: tuple[str, ...] = ()
    metadata: MetadataPatch | None = None
    title: str | None = None
    document_date: int | Unset | None = UNSET
    etag: str | None = None
    kind: ContentKind | None = None
    home: str = ""


@dataclass(frozen=True, slots=True)
class MessagesAppend:
    """Messages for the conversation called `id` (its id or custom id).

    `metadata` and `title` as in a `DocumentWrite`.
    """

    id: str
    messages: tuple[Message, ...]
    create_if_missing: bool = False
    containers: tuple[str, ...] = ()
    metadata: MetadataPatch | None = None
    title: str | None = None
    etag: str | None = None
    home: str = ""


@dataclass(frozen=True, slots=True)
class DocumentDelete:
    id: str
    allow_missing: bool = False
    etag: str | None = None
    home: str = ""


@dataclass(slots=True)
class Document:
    """A document as it is stored. `content` is None where it was not asked for."""

    id: str
    custom_id: str | None
    content: Content | None
    metadata: str
    containers: tuple[str, ...]
    status: Status
    title: str
    document_date: int | None
    etag: str
    revision: int
    create_time: int
    update_time: int
    error: str = ""
    attempts: int = 0
    kind: ContentKind = ContentKind.TEXT
    chunks: int = 0
    """How many it has in the index."""


@dataclass(slots=True)
class DocumentReceipt:
    id: str
    created: bool
    changed: bool
    status: Status
    etag: str
    revision: int
    create_time: int
    update_time: int


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """An error of one item, kept in a receipt."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class BatchReceipt:
    """One outcome for each item, in request order."""

    outcomes: tuple[DocumentReceipt | ItemFailure, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class AppendReceipt:
    """`messages`: how many the conversation has now."""

    receipt: DocumentReceipt
    messages: int


@dataclass(frozen=True, slots=True)
class DeleteReceipt:
    """`id` is empty when there was nothing to delete."""

    id: str
    revision: int


@dataclass(frozen=True, slots=True)
class BulkDeleteReceipt:
    """`errors` are (index into the request's ids, failure)."""

    deleted: int
    detached: int
    errors: tuple[tuple[int, ItemFailure], ...]
    revision: int
    complete: bool
    sample_ids: tuple[str, ...] = ()
    upto: int | None = None
    """Of an unfinished one, to go on with: the revision it was fixed at, or, by ids, how
    many of them are done."""
    detached_ids: tuple[str, ...] = ()
    """The first of those that are detached."""


@dataclass(frozen=True, slots=True)
class DocumentQuery:
    """`containers` empty means all that the caller may see."""

    containers: tuple[str, ...] = ()
    match_all: bool = False
    filter: Filter | None = None
    statuses: tuple[Status, ...] = ()
    custom_id_prefix: str = ""
    order: Order = Order.CREATED_DESC
    include_content: bool = False
