"""Kinds of changes, as the change log stores them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ChangeKind(StrEnum):
    """What happened to what: the text before the point says which kind of entity."""

    DOCUMENT_CREATED = "document.created"
    DOCUMENT_UPDATED = "document.updated"
    DOCUMENT_CUSTOM_ID_LOST = "document.custom_id_lost"
    """Updated, too: it left its home for one where another document has the custom id."""
    DOCUMENT_DELETED = "document.deleted"
    DOCUMENT_PROCESSED = "document.processed"
    DOCUMENT_FAILED = "document.failed"
    DOCUMENT_INDEXED = "document.indexed"
    MEMORY_CREATED = "memory.created"
    MEMORY_UPDATED = "memory.updated"
    MEMORY_FORGOTTEN = "memory.forgotten"
    MEMORY_RESTORED = "memory.restored"
    MEMORY_EXPIRED = "memory.expired"
    MEMORY_DELETED = "memory.deleted"
    MEMORY_INDEXED = "memory.indexed"
    CONTAINER_DELETED = "container.deleted"


OF_DOCUMENTS: Final = frozenset(kind for kind in ChangeKind if kind.startswith("document."))
OF_MEMORIES: Final = frozenset(kind for kind in ChangeKind if kind.startswith("memory."))

NON_DESTRUCTIVE: Final = OF_DOCUMENTS.union(OF_MEMORIES).difference(
    {
        ChangeKind.DOCUMENT_UPDATED,
        ChangeKind.DOCUMENT_CUSTOM_ID_LOST,
        ChangeKind.DOCUMENT_DELETED,
        ChangeKind.MEMORY_DELETED,
    }
)
"""Kinds of changes after which all that was stored before is still stored.

Processing says by itself whether it replaced chunks.
"""
