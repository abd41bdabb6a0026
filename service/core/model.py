"""The nouns, as plain data: what the rules and the storage speak about.

Instants are integer microseconds (see `times`). Metadata travel as their
canonical JSON text once they are stored. Nothing here is changed after it is
made; what is made by the thousand is not declared frozen, because that makes
its construction several times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from service.core.conversations import Message
from service.core.filters import Filter
from service.core.metadata import MetadataPatch


class Unset(Enum):
    """Marks a field the caller did not give, where None is a value."""

    UNSET = 0


UNSET: Final = Unset.UNSET

DEFAULT_CONTAINER: Final = "default"


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


class UpsertMode(IntEnum):
    """Numbers of the contract's UpsertMode."""

    CREATE_OR_UPDATE = 1
    CREATE_ONLY = 2
    UPDATE_ONLY = 3


class Order(IntEnum):
    """Numbers of the contract's ListOrder."""

    CREATED_DESC = 1
    CREATED_ASC = 2
    UPDATED_DESC = 3
    UPDATED_ASC = 4

    @property
    def descending(self) -> bool:
        return self in (Order.CREATED_DESC, Order.UPDATED_DESC)

    @property
    def by_update(self) -> bool:
        return self in (Order.UPDATED_DESC, Order.UPDATED_ASC)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a tenant's key and what it may do.

    `containers` None means all of the tenant's; `expires_at` None means never.
    `tenant_name` is for logs.
    """

    tenant: int
    key_id: str
    containers: frozenset[str] | None = None
    read_only: bool = False
    expires_at: int | None = None
    tenant_name: str = ""

    def allows(self, container: str) -> bool:
        return self.containers is None or container in self.containers


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's request_id, and the keyed digest of what it names."""

    request_id: str
    fingerprint: bytes


# --- documents -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DocumentWrite:
    """An upsert. None (or UNSET) keeps; `title` "" and `document_date` None clear.

    The content of a conversation is what `conversations.encode` makes of it.
    """

    content: str
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
    """An update of the document called `id` (its id or custom id)."""

    id: str
    content: str | None = None
    containers: tuple[str, ...] = ()
    metadata: MetadataPatch | None = None
    title: str | None = None
    document_date: int | Unset | None = UNSET
    etag: str | None = None
    kind: ContentKind | None = None


@dataclass(frozen=True, slots=True)
class MessagesAppend:
    """Messages for the conversation called `id` (its id or custom id)."""

    id: str
    messages: tuple[Message, ...]
    create_if_missing: bool = False
    containers: tuple[str, ...] = ()
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentDelete:
    id: str
    allow_missing: bool = False
    etag: str | None = None


@dataclass(slots=True)
class Document:
    """A document as it is stored. `content` is None where it was not asked for."""

    id: str
    custom_id: str | None
    content: str | None
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


# --- memories ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TemporalContext:
    """RFC 3339 dates or date-times, as written."""

    document_date: str | None = None
    event_dates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TemporalPatch:
    """UNSET keeps; `document_date` None and `event_dates` () clear."""

    document_date: str | Unset | None = UNSET
    event_dates: tuple[str, ...] | Unset = UNSET


@dataclass(frozen=True, slots=True)
class NewMemory:
    content: str
    metadata: MetadataPatch | None = None
    is_static: bool = False
    forget_after: int | None = None
    forget_reason: str = ""
    temporal: TemporalContext = TemporalContext()
    source_document_id: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryCreate:
    container: str
    memories: tuple[NewMemory, ...]


@dataclass(frozen=True, slots=True)
class MemoryTarget:
    """By `id`, by exact `content`, or both, which must then agree."""

    container: str
    id: str | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryUpdate:
    """None (or UNSET) inherits; `forget_after` None clears it and its reason."""

    target: MemoryTarget
    content: str
    forget_after: int | Unset | None = UNSET
    forget_reason: str | None = None
    metadata: MetadataPatch | None = None
    temporal: TemporalPatch | None = None
    is_static: bool | None = None
    etag: str | None = None

    @property
    def container(self) -> str:
        return self.target.container


@dataclass(frozen=True, slots=True)
class MemoryForget:
    target: MemoryTarget
    reason: str = ""
    etag: str | None = None

    @property
    def container(self) -> str:
        return self.target.container


@dataclass(frozen=True, slots=True)
class MemoryRestore:
    """`forget_after` UNSET keeps one ahead and clears one passed; None clears."""

    container: str
    id: str
    forget_after: int | Unset | None = UNSET
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryDelete:
    container: str
    id: str
    allow_missing: bool = False
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryForgetMany:
    """Exactly one of `ids`, `filter` and `found`.

    `found` is what a search found, best first, with scores, and `matched` what the
    filter matched before the transaction: what is no longer latest and remembered is
    left out.
    """

    container: str
    ids: tuple[str, ...] = ()
    filter: Filter | None = None
    max_forget: int = 100
    reason: str = ""
    found: tuple[tuple[str, float], ...] | None = None
    matched: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many memories it names."""
        return len(self.ids or self.found or self.matched)


@dataclass(frozen=True, slots=True)
class MemoryRestoreMany:
    container: str
    forget_batch_id: str


@dataclass(slots=True)
class Memory:
    """One version, as it stood at the time that was asked about."""

    id: str
    container: str
    content: str
    metadata: str
    version: int
    parent_id: str | None
    root_id: str
    is_latest: bool
    forgotten: bool
    is_static: bool
    etag: str
    create_time: int
    forget_after: int | None
    forget_reason: str
    temporal: TemporalContext
    source_document_id: str | None
    forget_time: int | None
    forget_batch_id: str | None


@dataclass(slots=True)
class MemoryReceipt:
    id: str
    container: str
    version: int
    parent_id: str | None
    root_id: str
    etag: str
    revision: int
    is_latest: bool
    forgotten: bool
    create_time: int
    forget_after: int | None
    update_time: int


@dataclass(frozen=True, slots=True)
class MemoriesReceipt:
    receipts: tuple[MemoryReceipt, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class UpdatedMemory:
    """`content` is read from the version itself; "" when that is deleted."""

    receipt: MemoryReceipt
    content: str


@dataclass(frozen=True, slots=True)
class ForgetManyReceipt:
    """`forget_batch_id` is empty when nothing was forgotten."""

    forget_batch_id: str
    ids: tuple[str, ...]
    revision: int
    scores: tuple[float, ...] = ()
    """Of a search, one for each of `ids`."""


@dataclass(frozen=True, slots=True)
class RestoreManyReceipt:
    receipts: tuple[MemoryReceipt, ...]
    skipped_ids: tuple[str, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class MemoryDeleteReceipt:
    root_id: str
    deleted_versions: int
    revision: int


@dataclass(frozen=True, slots=True)
class MemoryQuery:
    """`as_of` None means now."""

    containers: tuple[str, ...]
    filter: Filter | None = None
    include_forgotten: bool = False
    include_history: bool = False
    order: Order = Order.CREATED_DESC
    as_of: int | None = None


# --- containers ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Container:
    tag: str
    documents: int
    memories: int
    create_time: int


@dataclass(frozen=True, slots=True)
class ContainerDeleteReceipt:
    documents: int
    detached: int
    memories: int
    container_deleted: bool
    revision: int
    complete: bool
    sample_ids: tuple[str, ...] = ()
    upto: int | None = None
    """Of an unfinished one: the revision it was fixed at, to go on with."""
    detached_ids: tuple[str, ...] = ()
    """The first of those that are detached."""


# --- pages ---------------------------------------------------------------

Position = tuple[str | int, ...]
"""Sort position after which the next page begins; ids, tags and revisions only."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`size` items after `after` (None: from the start).

    `upto` is the revision before the first page was read (None: this is it): by
    update, what has moved since is not listed again. `began` is the time of the
    tenant's last write before the first page: a history has no later versions of what
    was there, so that it ends whatever others update.
    """

    size: int
    after: Position | None = None
    upto: int | None = None
    max_bytes: int = 3 * 1024 * 1024
    began: int | None = None
