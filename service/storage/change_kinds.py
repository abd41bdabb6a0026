"""What the kinds of changes say about what is stored."""

from __future__ import annotations

from typing import Final

from service.core.model import ChangeKind

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
