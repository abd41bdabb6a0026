"""Word documents (DOCX): read as the HTML that says the same."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

import mammoth

from service.content.base import Extract, UnreadableContentError
from service.content.html import Html

MAX_UNPACKED: Final = 32 * 1_048_576
"""Bytes of markup in a document: a megabyte of text has some ten times as much around it."""

MAX_PARTS: Final = 10_000

MAX_CHARACTERS: Final = 2_097_152
"""Of the text of a file, as of a PDF."""

_OLD_HEADER: Final = bytes.fromhex("d0cf11e0a1b11ae1")
"""Of files of Word before 2007, and of encrypted ones."""

_MARKUP: Final = (".xml", ".rels")
_STYLES: Final = "\n".join(
    (
        "p[style-name='Title'] => h1:fresh",
        "p[style-name='Subtitle'] => p:fresh",
        "p[style-name='TOC Heading'] => !",
        *(f"p[style-name='toc {level}'] => !" for level in range(1, 10)),
        "p[style-name='table of figures'] => !",
    )
)
"""Tables of contents are left out, as in other kinds."""


class Docx:
    """Headings keep their levels, and lists, tables and descriptions of pictures are as in HTML.

    Footnotes come last. Of changes that are tracked, the text is the one with them. Headers,
    footers, comments and tables of contents are left out.
    """

    def extract(self, content: bytes) -> Extract:
        _check(content)
        try:
            converted = mammoth.convert_to_html(
                BytesIO(content),
                style_map=_STYLES,
                convert_image=mammoth.images.img_element(_no_source),
            )
            extract = Html().extract(converted.value)
        except MemoryError:
            raise
        except RecursionError as error:
            raise UnreadableContentError(
                "the parts of the Word document are inside one another too deeply; save it as "
                "another format, such as HTML"
            ) from error
        except Exception as error:
            raise _unreadable() from error
        if len(extract.text) > MAX_CHARACTERS:
            raise UnreadableContentError(
                f"the Word document has more than {MAX_CHARACTERS:,} characters of text; divide it"
            )
        return extract


def _check(content: bytes) -> None:
    """Refuse what is no Word document, or unpacks to more than one has."""
    if content.startswith(_OLD_HEADER):
        raise UnreadableContentError(
            "the Word document is encrypted, or of the format before DOCX; save it as DOCX "
            "without a password"
        )
    try:
        with ZipFile(BytesIO(content)) as archive:
            parts = archive.infolist()
    except (BadZipFile, NotImplementedError, ValueError, OSError, RecursionError) as error:
        raise _unreadable() from error
    # What is unpacked of a part ends at the size that the directory says it has.
    unpacked = sum(part.file_size for part in parts if part.filename.endswith(_MARKUP))
    if unpacked > MAX_UNPACKED or len(parts) > MAX_PARTS:
        raise UnreadableContentError(
            f"the Word document unpacks to more than {MAX_UNPACKED:,} bytes of markup, or to more "
            f"than {MAX_PARTS:,} parts; divide it"
        )


def _no_source(_: Any) -> dict[str, str]:
    """The attributes of a picture next to its description: the picture itself is not read."""
    return {"src": ""}


def _unreadable() -> UnreadableContentError:
    return UnreadableContentError(
        "the content is not a Word document (DOCX) that can be read; save it again, or send its "
        "text"
    )
