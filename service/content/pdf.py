"""PDF: the text of its pages."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Final

from pypdf import PdfReader
from pypdf.errors import LimitReachedError, PyPdfError

from service.content.base import Extract, UnreadableContentError
from service.content.writer import Writer

MAX_PAGES: Final = 2_000

MAX_CHARACTERS: Final = 2_097_152
"""Of the text of a file: a thousand pages of a book have as many."""

_PARAGRAPHS: Final = re.compile(r"\n[^\S\n]*\n")
_DIVIDED: Final = re.compile(r"(?<=[^\W\d_])[-\u2010\xad]\n(?=[^\W\d_A-Z])")
"""A word that was divided at the end of a line."""
_FILE_NAME: Final = re.compile(r"(?i)microsoft word - |untitled|.*\.[a-z]{2,4}$")


class Pdf:
    """Each page begins a block; so does what follows a blank line.

    Words that were divided at the end of a line are joined. The title that the file names is
    its first heading, unless it is the name of another file. A page that cannot be read is
    left out, if another one can.

    Args:
        max_characters: A file with more text is refused.
    """

    def __init__(self, max_characters: int = MAX_CHARACTERS) -> None:
        self._max_characters = max_characters
        # Its warnings quote the file.
        logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)

    def extract(self, content: bytes) -> Extract:
        try:
            return self._extract(content)
        except (MemoryError, UnreadableContentError):
            raise
        except RecursionError as error:
            raise UnreadableContentError(
                "the parts of the PDF are inside one another too deeply; print it to a PDF again"
            ) from error
        except LimitReachedError as error:
            raise UnreadableContentError(
                "the PDF holds more than a document has; print it to a PDF again, or send its text"
            ) from error
        except Exception as error:
            raise UnreadableContentError(
                "the content is not a PDF that can be read; print it to a PDF again, or send its "
                "text"
            ) from error

    def _extract(self, content: bytes) -> Extract:
        reader = PdfReader(BytesIO(content))
        if reader.is_encrypted and not _opens(reader):
            raise UnreadableContentError(
                "the PDF is encrypted; save it without a password and without restrictions"
            )
        writer = Writer()
        length = 0
        for text in _pages(reader):
            length += len(text)
            if length > self._max_characters:
                raise UnreadableContentError(
                    f"the PDF has more than {self._max_characters:,} characters of text; divide it"
                )
            for paragraph in _PARAGRAPHS.split(_DIVIDED.sub("", text)):
                writer.add(paragraph)
        return writer.extract().titled(_title(reader))


def _opens(reader: PdfReader) -> bool:
    """Whether it can be read without a password, as one with restrictions alone can."""
    try:
        return bool(reader.decrypt(""))
    except (PyPdfError, ImportError, NotImplementedError):
        return False


def _pages(reader: PdfReader) -> Iterator[str]:
    failure: Exception | None = None
    readable = 0
    for number, page in enumerate(reader.pages):
        if number == MAX_PAGES:
            raise UnreadableContentError(f"the PDF has more than {MAX_PAGES:,} pages; divide it")
        try:
            text = page.extract_text()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever the library stumbles over)
            failure = error
        else:
            readable += 1
            yield text
    if failure is not None and not readable:
        raise failure


def _title(reader: PdfReader) -> str:
    try:
        metadata = reader.metadata
        title = " ".join(str((metadata and metadata.title) or "").split())
    except (PyPdfError, ValueError, AttributeError, KeyError, TypeError):
        return ""
    return "" if _FILE_NAME.match(title) else title[:1_000]
