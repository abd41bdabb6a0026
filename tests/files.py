"""PDF and Word files, made as small as they can be: whole ones, damaged ones and bombs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

_NAMESPACE: Final = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
_TYPES: Final = """<?xml version="1.0"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/word/document.xml" ContentType=
"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>
<Override PartName="/word/styles.xml" ContentType=
"application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/></Types>"""
_RELATIONS: Final = """<?xml version="1.0"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Target="word/document.xml" Type=
"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/>
</Relationships>"""
_STYLES: Final = {
    "Title": "Title",
    "H1": "heading 1",
    "H2": "heading 2",
    "TOC1": "toc 1",
    "TOCHeading": "TOC Heading",
}


def paragraph(text: str, style: str = "") -> str:
    """The markup of a paragraph; its style is one of Title, H1, H2, TOC1 and TOCHeading."""
    about = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{about}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def table(*rows: Sequence[str]) -> str:
    """The markup of a table."""
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def docx(body: str, parts: Mapping[str, str | bytes] | None = None) -> bytes:
    """A Word document of this markup; `parts` are more files of it, or others."""
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="{said}"/></w:style>'
        for name, said in _STYLES.items()
    )
    files: dict[str, str | bytes] = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _RELATIONS,
        "word/styles.xml": f"<w:styles {_NAMESPACE}>{styles}</w:styles>",
        "word/document.xml": f"<w:document {_NAMESPACE}><w:body>{body}</w:body></w:document>",
    }
    made = BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as archive:
        for name, data in {**files, **(parts or {})}.items():
            archive.writestr(name, data)
    return made.getvalue()


def pdf_objects(objects: Mapping[int, bytes], trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF of these objects, the catalog first."""
    made = bytearray(b"%PDF-1.7\n")
    places = {}
    for number, body in objects.items():
        places[number] = len(made)
        made += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(made)
    size = max(objects) + 1
    made += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        made += b"%010d 00000 n \n" % places.get(number, 0)
    made += b"trailer\n<< /Size %d %b >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start)
    return bytes(made)


def stream(data: bytes, *, packed: int = 0) -> bytes:
    """A stream, compressed as many times as `packed`."""
    for _ in range(packed):
        data = zlib.compress(data, 9)
    filters = b"/Filter [%b] " % (b"/FlateDecode " * packed) if packed else b""
    return b"<< %b/Length %d >>\nstream\n%b\nendstream" % (filters, len(data), data)


def shown(lines: Sequence[str]) -> bytes:
    """What a page does to show lines of Latin-1 text."""
    said = b"".join(
        b"(%b) Tj T*\n" % line.encode("latin-1").translate(None, b"()\\") for line in lines
    )
    return b"BT /F1 12 Tf 14 TL 72 720 Td\n%bET" % said


def pdf(*pages: Sequence[str], title: str = "", content: bytes | None = None) -> bytes:
    """A PDF with these lines on its pages.

    Args:
        pages: The lines of each.
        title: What the file says that it is called.
        content: A stream that every page has instead of its lines.
    """
    kids = b" ".join(b"%d 0 R" % (5 + 2 * place) for place in range(len(pages)))
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Count %d /Kids [%b] >>" % (len(pages), kids),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        4: b"<< /Title (%b) >>" % title.encode("latin-1"),
    }
    for place, lines in enumerate(pages):
        objects[5 + 2 * place] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (6 + 2 * place)
        )
        objects[6 + 2 * place] = content or stream(shown(lines))
    return pdf_objects(objects, b"/Root 1 0 R /Info 4 0 R")
