"""Files that are content: what kind of file some bytes are."""

from __future__ import annotations

from typing import Final

from service.core.model import ContentKind

MAX_BYTES: Final = 3 * 1_048_576
"""The limit of a file: an answer that holds one has less than the 4 MiB that gRPC clients take."""

_PDF_HEADER: Final = b"%PDF-"
_PDF_HEADER_WITHIN: Final = 1024
"""Readers of PDF let other bytes stand before the header, up to so many."""

_ZIP_HEADER: Final = b"PK\x03\x04"
_DOCX_PART: Final = b"word/"
"""What the names of the parts of a Word document in its ZIP directory begin with."""


def kind_of(data: bytes) -> ContentKind | None:
    """The kind of a file by its bytes; None if it is none that the service reads."""
    if data.startswith(_ZIP_HEADER):
        return ContentKind.DOCX if _DOCX_PART in data else None
    return ContentKind.PDF if _PDF_HEADER in data[:_PDF_HEADER_WITHIN] else None
