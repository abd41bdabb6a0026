"""The kinds of content that the service reads: a line for each."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Final

from service.content.base import Extractor, FileExtractor, UnreadableContentError
from service.core.model import ContentKind

# By name, so that parsers are loaded only by processes that read content.
EXTRACTORS: Final[dict[int, str]] = {
    ContentKind.TEXT: "service.content.text:Text",
    ContentKind.MARKDOWN: "service.content.markdown:Markdown",
    ContentKind.HTML: "service.content.html:Html",
    ContentKind.CONVERSATION: "service.content.conversation:Conversation",
}
FILE_EXTRACTORS: Final[dict[int, str]] = {
    ContentKind.PDF: "service.content.pdf:Pdf",
    ContentKind.DOCX: "service.content.docx:Docx",
}


def extractor_for(number: int) -> Extractor:
    """The extractor for content of this ContentKind.

    Raises:
        UnreadableContentError: There is none: a newer release wrote the document.
    """
    if number not in EXTRACTORS:
        raise UnreadableContentError(
            f"content of kind {number} cannot be read by this release; update the server"
        )
    found: Extractor = _instance(EXTRACTORS[number])
    return found


def file_extractor_for(number: int) -> FileExtractor:
    """The extractor for files of this ContentKind, which is one of FILE_KINDS."""
    found: FileExtractor = _instance(FILE_EXTRACTORS[number])
    return found


@cache
def _instance(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)()
