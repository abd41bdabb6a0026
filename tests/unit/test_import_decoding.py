"""Bytes of files, and the text that is read from them."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.content.decoding import decode

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
MARKED = ["utf-8-sig", "utf-16", "utf-32"]
BIG_ENDIAN = {codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF32_BE: "utf-32-be"}


@given(TEXTS, st.sampled_from(MARKED), st.booleans())
def test_a_byte_order_mark_decides(text: str, encoding: str, page: bool) -> None:
    # The mark of UTF-16 with a NUL behind it is the mark of UTF-32.
    text = "a" + text
    assert decode(text.encode(encoding), page=page) == text


@given(TEXTS, st.sampled_from(list(BIG_ENDIAN)))
def test_a_byte_order_mark_in_the_other_order(text: str, mark: bytes) -> None:
    assert decode(mark + text.encode(BIG_ENDIAN[mark])) == text


@given(TEXTS.filter(lambda text: not text.startswith("\ufeff")))
def test_without_marks_it_is_utf_8(text: str) -> None:
    assert decode(text.encode()) == text


@pytest.mark.parametrize(
    ("head", "encoding", "text"),
    [
        ('<meta charset="iso-8859-1">', "latin-1", "Café für alle"),
        ("<META CHARSET=ISO-8859-1>", "cp1252", "Preis: 5 € – “gut”"),
        ("<meta name=x content=y><meta charset = 'windows-1252' >", "cp1252", "naïve"),
        (
            '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-15">',
            "iso-8859-15",
            "œuvre à 5 €",
        ),
        ("<meta content='text/html;charset=koi8-r' http-equiv=content-type>", "koi8-r", "Привет"),
        ('<meta charset="windows-1251"/>', "cp1251", "Добрый день"),
        ('<meta charset="x-sjis">', "cp932", "日本語 ①"),
        ('<meta charset="gb2312">', "gb18030", "朱镕基"),
        ('<meta charset="big5">', "big5", "繁體中文"),
        ('<meta charset="euc-kr">', "euc_kr", "안녕하세요"),
        ('<meta charset="utf-8">', "utf-8", "日本語"),
        ('<meta charset="utf-16">', "utf-8", "日本語"),
        ('<meta charset="nonsense">', "utf-8", "日本語"),
        ('<meta charset="unicode_escape">', "utf-8", r"日本語 \u0041"),
        ('<meta charset="idna"><meta charset="iso-8859-1">', "latin-1", "Café"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>\n<html>', "latin-1", "Café"),
        ('<!-- <meta charset="koi8-r"> --><meta charset="iso-8859-1">', "latin-1", "Café"),
        ("<p>no declaration</p>", "utf-8", "Café"),
    ],
)
def test_a_page_declares_its_encoding(head: str, encoding: str, text: str) -> None:
    page = f"{head}<title>{text}</title>"
    assert decode(page.encode(encoding), page=True) == page


def test_what_does_not_fit_into_the_declared_encoding_is_replaced() -> None:
    page = b'<meta charset="windows-1252"><p>a\x81b'
    assert decode(page, page=True).endswith("<p>a\ufffdb")


def test_only_pages_declare_encodings() -> None:
    with pytest.raises(UnicodeDecodeError):
        decode('<meta charset="iso-8859-1">é'.encode("latin-1"))


@given(st.binary(max_size=200), st.sampled_from([b"", b"<meta charset=", b"<?xml encoding='"]))
def test_any_bytes_are_read_or_refused(data: bytes, head: bytes) -> None:
    for page in (True, False):
        try:
            text = decode(head + data, page=page)
        except UnicodeDecodeError:
            continue
        text.encode()
