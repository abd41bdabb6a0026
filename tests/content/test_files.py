"""What is read out of PDF and Word files, and what is refused."""

from __future__ import annotations

import pytest

from service.content.base import Extract, UnreadableContentError
from service.content.docx import Docx
from service.content.pdf import MAX_PAGES, Pdf
from service.core import files
from service.core.model import ContentKind
from tests.files import docx, paragraph, pdf, pdf_objects, shown, stream, table

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
NAMESPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def blocks(extract: Extract) -> list[str]:
    return [extract.text[block.start : block.end] for block in extract.blocks]


def headings(extract: Extract) -> list[tuple[int, str]]:
    return [(b.level, extract.text[b.start : b.end]) for b in extract.blocks if b.level]


def test_a_pdf_is_read_page_by_page() -> None:
    extract = Pdf().extract(
        pdf(["The gates of the har-", "bour open at nine,", "says Jos\xe9."], ["Page two."], [])
    )
    assert blocks(extract) == ["The gates of the harbour open at nine,\nsays José.", "Page two."]
    assert headings(extract) == []


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Ferry tariff", [(1, "Ferry tariff")]),
        ("tariff.docx", []),
        ("Microsoft Word - Tariff", []),
        ("Untitled", []),
        ("", []),
    ],
)
def test_the_title_of_a_pdf_is_its_first_heading(title: str, found: list[tuple[int, str]]) -> None:
    extract = Pdf().extract(pdf(["Four coins."], title=title))
    assert headings(extract) == found
    assert blocks(extract)[-1] == "Four coins."


def test_a_page_that_cannot_be_read_does_not_hide_the_others() -> None:
    broken = pdf(["Four coins."], ["Page two."]).replace(b"(Four", b")Four")
    assert "Page two." in Pdf().extract(broken).text


def test_a_pdf_without_text_has_no_blocks() -> None:
    assert Pdf().extract(pdf([])).blocks == ()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"%PDF-1.7\n", "not a PDF that can be read", id="nothing"),
        pytest.param(docx(paragraph("x")), "not a PDF that can be read", id="another kind"),
        pytest.param(
            pdf_objects({1: CATALOG, 2: b"<< /Type /Pages /Kids [2 0 R] >>"}),
            "not a PDF that can be read",
            id="a tree of pages that is a circle",
        ),
        pytest.param(
            pdf_objects(
                {
                    1: CATALOG,
                    **{
                        number: b"<< /Type /Pages /Kids [%b] >>" % (b"%d 0 R " % (number + 1) * 10)
                        for number in range(2, 30)
                    },
                    30: b"<< /Type /Page >>",
                }
            ),
            "holds more",
            id="a tree of pages without an end",
        ),
        pytest.param(
            pdf_objects({1: CATALOG, 2: b"[" * 1_000_000}), "too deeply", id="endless arrays"
        ),
        pytest.param(
            pdf_objects(
                {
                    1: CATALOG,
                    2: b"<< /Type /Pages /Kids [%b] >>" % (b"3 0 R " * (MAX_PAGES + 1)),
                    3: b"<< /Type /Page /Parent 2 0 R >>",
                }
            ),
            "more than 2,000 pages",
            id="many pages",
        ),
        pytest.param(
            pdf(["x"], content=stream(b" " * (100 << 20), packed=2)),
            "holds more",
            id="a stream that is a bomb",
        ),
        pytest.param(
            pdf_objects(
                {
                    1: CATALOG,
                    2: b"<< /Type /Pages /Count 0 /Kids [] >>",
                    3: b"<< /Filter /Standard /V 1 /R 2 /P -4 /O (%b) /U (%b) >>"
                    % (b"a" * 32, b"b" * 32),
                },
                b"/Root 1 0 R /Encrypt 3 0 R /ID [(a) (a)]",
            ),
            "encrypted",
            id="encrypted",
        ),
    ],
)
def test_what_is_no_pdf_is_refused_with_advice(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableContentError, match=reason):
        Pdf().extract(data)


def test_the_text_of_a_pdf_is_bounded() -> None:
    reader = Pdf(max_characters=20)
    assert reader.extract(pdf(["x" * 10])).text == "x" * 10
    with pytest.raises(UnreadableContentError, match="more than 20 characters"):
        reader.extract(pdf(["x" * 10], content=stream(shown(["y" * 21]))))


def test_a_word_document_is_read_as_it_is_built() -> None:
    body = (
        paragraph("Ferry tariff", "Title")
        + paragraph("Contents", "TOCHeading")
        + paragraph("Prices 3", "TOC1")
        + paragraph("Prices", "H1")
        + paragraph("Four coins &amp; a smile.")
        + "<w:p><w:ins><w:r><w:t>Dogs </w:t></w:r></w:ins><w:del><w:r><w:delText>Cats"
        "</w:delText></w:r></w:del><w:sdt><w:sdtContent><w:r><w:t>ride free.</w:t></w:r>"
        "</w:sdtContent></w:sdt></w:p>"
        + paragraph("Boats", "H2")
        + table(["Boat", "Seats"], ["Ann", "12"])
    )
    extract = Docx().extract(docx(body))
    assert headings(extract) == [(1, "Ferry tariff"), (1, "Prices"), (2, "Boats")]
    assert blocks(extract) == [
        "Ferry tariff",
        "Prices",
        "Four coins & a smile.",
        "Dogs ride free.",
        "Boats",
        "Boat | Seats\nAnn | 12",
    ]


def test_pictures_of_a_word_document_are_not_unpacked() -> None:
    bomb = {"word/media/image1.png": b" " * (100 << 20)}
    assert blocks(Docx().extract(docx(paragraph("Four coins."), bomb))) == ["Four coins."]


_LAUGHS = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 10))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"PK\3\4word/", "not a Word document", id="no archive"),
        pytest.param(pdf(["x"]), "not a Word document", id="another kind"),
        pytest.param(
            docx("", {"word/document.xml": "<a"}), "not a Word document", id="broken markup"
        ),
        pytest.param(
            docx(
                "",
                {
                    "word/document.xml": f'<!DOCTYPE a [<!ENTITY e0 "ha">{_LAUGHS}]>'
                    f"<w:document {NAMESPACE}><w:body><w:p><w:r><w:t>&e9;</w:t></w:r></w:p>"
                    "</w:body></w:document>"
                },
            ),
            "not a Word document",
            id="entities that are a bomb",
        ),
        pytest.param(
            docx(paragraph("x"), {"word/footnotes.xml": b" " * (40 << 20)}),
            "unpacks to more",
            id="an archive that is a bomb",
        ),
        pytest.param(
            docx("<w:tbl><w:tr><w:tc>" * 5_000 + "</w:tc></w:tr></w:tbl>" * 5_000),
            "too deeply",
            id="endless tables",
        ),
        pytest.param(
            docx(paragraph("ab " * 800_000)), "more than 2,097,152 characters", id="much text"
        ),
        pytest.param(
            bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512), "encrypted", id="encrypted, or old"
        ),
    ],
)
def test_what_is_no_word_document_is_refused_with_advice(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableContentError, match=reason):
        Docx().extract(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (pdf(["x"]), ContentKind.PDF),
        (b"\xef\xbb\xbf\n%PDF-1.4", ContentKind.PDF),
        (b" " * 1_100 + b"%PDF-1.4", None),
        (docx(paragraph("x")), ContentKind.DOCX),
        (b"PK\3\4xl/workbook.xml", None),
        (b"text", None),
        (b"", None),
    ],
)
def test_files_are_known_by_their_bytes(data: bytes, kind: ContentKind | None) -> None:
    assert files.kind_of(data) is kind
