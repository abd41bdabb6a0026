"""Memories: what is written, what is stored, what is answered and how they are listed."""

from __future__ import annotations

from dataclasses import dataclass

from service.core.filters import Filter
from service.core.metadata import MetadataPatch
from service.core.model.base import UNSET, Order, Unset


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
    actor: str = ""
    """On whose behalf this version was written, as its caller said."""


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
    """`version` is the new one; None in answer to a repetition, when it is deleted by then."""

    receipt: MemoryReceipt
    version: Memory | None


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
    """`containers` empty means all that the caller may see. `as_of` None means now.

    `source_document_id` None: wherever they come from.
    """

    containers: tuple[str, ...]
    filter: Filter | None = None
    include_forgotten: bool = False
    include_history: bool = False
    order: Order = Order.CREATED_DESC
    as_of: int | None = None
    source_document_id: str | None = None
