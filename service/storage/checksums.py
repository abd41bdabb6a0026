"""Checksums of rows: over what no index and no other digest of the row covers.

They are keyed like the other digests, and part of the row, so that a checksum costs its
computation alone. Left out is what changes without its text (states, vectors, entries).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from service.core.digests import Digester

COVERED: Final[dict[str, tuple[str, ...]]] = {
    "memories": (
        "id",
        "container",
        "root_id",
        "parent_id",
        "version",
        "metadata",
        "comparable",
        "is_static",
        "document_date",
        "document_instant",
        "event_dates",
        "event_instants",
        "create_time",
        "actor",
    ),
    "chunks": ("chunk_id", "starts", "ends", "heading", "speaker", "instant", "utc_offset"),
    "api_keys": (
        "key_id",
        "key_hash",
        "label",
        "containers",
        "read_only",
        "create_time",
        "expire_time",
    ),
    "memory_spans": ("forget_after", "forget_reason", "end_reason", "forget_batch_id"),
}
"""Columns of each table, in the order in which they are digested."""

_SELDOM: Final = frozenset({"memories", "chunks"})
"""Tables whose last covered column is left out where it is null.

So it is in most rows, and in all that were written before there was the column.
"""

NOTHING: Final = b""
"""Of a row without any of its texts, where that is the rule and not worth a digest."""


def of_memory(digester: Digester, row: dict[str, Any]) -> bytes:
    return of_values(digester, "memories", map(row.__getitem__, COVERED["memories"]))


def of_chunk(digester: Digester, row: dict[str, Any]) -> bytes:
    return of_values(digester, "chunks", map(row.__getitem__, COVERED["chunks"]))


def of_key(digester: Digester, row: dict[str, Any]) -> bytes:
    return digester.checksum(*map(row.__getitem__, COVERED["api_keys"]))


def of_span(
    digester: Digester,
    forget_after: int | None,
    forget_reason: str,
    end_reason: str,
    forget_batch_id: str | None,
) -> bytes:
    """Few spans have a reason, and many are written."""
    values = (forget_after, forget_reason, end_reason, forget_batch_id)
    return digester.checksum(*values) if any(values) else NOTHING


def of_values(digester: Digester, table: str, values: Iterable[Any]) -> bytes:
    """The checksum of a stored row, from its columns as COVERED orders them.

    Raises:
        UnicodeError: A text is not UTF-8.
    """
    if table == "memory_spans":
        return of_span(digester, *values)
    if table in _SELDOM:
        *others, last = values
        values = others if last is None else (*others, last)
    return digester.checksum(*values)
