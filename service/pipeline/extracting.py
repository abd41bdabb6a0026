"""Reading the text out of content: out of files with bounded time and memory."""

from __future__ import annotations

from typing import Final

from service.content.base import Extract, UnreadableContentError
from service.content.registry import extractor_for, file_extractor_for
from service.core.model import Content, ContentKind
from service.runtime import limits

FILE_SECONDS: Final = 30.0
"""Of processor time. A page of text takes some 10 milliseconds, a picture none."""

FILE_MEMORY: Final = 512 * 1_048_576
"""Bytes. Markup of a Word document takes some 35 times its size, the pages of a PDF less."""


class FilesNotReadError(Exception):
    """Files are read in compute workers, and this is none; another try may meet one."""


def extract(kind: ContentKind, content: Content) -> Extract:
    """The text of content, and its blocks.

    Raises:
        UnreadableContentError: It cannot be read, or not within FILE_SECONDS and FILE_MEMORY.
        FilesNotReadError: It is a file, and this process has no bounds for reading it.
    """
    if isinstance(content, str):
        return extractor_for(kind).extract(content)
    if not limits.enabled():
        raise FilesNotReadError(
            "PDF and Word documents are read by compute processes, and there are none; start the "
            "server with --compute-processes 1 or more"
        )
    extractor = file_extractor_for(kind)
    try:
        with limits.limited(FILE_SECONDS, FILE_MEMORY):
            return extractor.extract(content)
    except limits.LimitExceededError as error:
        raise UnreadableContentError(
            f"reading the file takes more than {error}; divide it, or send its text"
        ) from error
