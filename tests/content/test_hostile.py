"""Half a megabyte of the worst takes not much more than one of prose, whatever it claims to be."""

from __future__ import annotations

import contextlib
import time

import pytest

from service.content.base import TextChunk, UnreadableContentError
from service.content.chunking import chunk
from service.content.registry import extractor_for
from service.core.model import ContentKind

pytestmark = pytest.mark.slow

SIZE = 1 << 19
LIMIT = 30
"""How many times the processor's time for half a megabyte of prose, on the same machine, the
worst may take: five were measured. What is quadratic took hundreds at twice the size."""

PROSE = "The harbour is closed on winter nights. *Gates* open at nine o'clock, says Ann.\n\n"

HTML = {
    "less": "<",
    "nested": "<div>",
    "bold": "<b>",
    "lists": "<ul><li>",
    "comments": "<!--",
    "attributes": "<a x ",
    "paragraphs": "<p>x",
    "cells": "<table><tr><td>",
    "entities": "&amp;&#x41;&nope",
    "ends": "</p>",
    "blanks": " ",
    "null": "\0",
    "navigation": "<nav>",
    "menus": "<nav><a href=#a>b</a></nav>",
    "links": "<a href=#a>b",
    "hidden": "<p hidden>a",
    "roles": "<b role=navigation>",
    "drawings": "<svg><p>a",
    "texts": "<svg><text>",
    "titles": "<title>",
    "empty scripts": "<script/>",
    "areas": "<textarea>",
    "closed areas": "<textarea></textarea>",
    "headings": "<h1>",
    "mixed": "<b><p><i>",
    "wrong ends": "<b></i>",
    "quotes": "<a b='>",
    "equals": "<a =",
    "names": "<a b",
    "references": "&#0",
}
MARKDOWN = {
    "brackets": "[",
    "images": "![a](",
    "stars": "**a_",
    "ticks": "` ``",
    "quotes": "> ",
    "lists": "- ",
    "definitions": "[a]: b\n",
    "headings": "# a\n",
    "table": "|a|b|\n|-|-|\n",
    "html": "<div>\n\n",
    "fences": "```\n",
    "rules": "---\na\n",
    "backslashes": "\\",
    "tabs": "\t",
}
TEXT = {
    "word": "a",
    "words": "a ",
    "blanks": " ",
    "lines": "\n",
    "stops": ". ",
    "quotes": '."',
    "gaps": "a." + " " * 3_000,
    "rows": "a\n" + " " * 3_000,
    "characters": "漢字。",
}


def read(kind: ContentKind, content: str) -> tuple[list[TextChunk], float]:
    """Its chunks, if it can be read, and the seconds of processor that took, whatever else
    the machine does."""
    began = time.process_time()
    chunks: list[TextChunk] = []
    with contextlib.suppress(UnreadableContentError):
        chunks = chunk(extractor_for(kind).extract(content))
    return chunks, time.process_time() - began


def seconds(kind: ContentKind, content: str) -> float:
    return read(kind, content)[1]


@pytest.fixture(scope="module")
def limit() -> float:
    prose = PROSE * (SIZE // len(PROSE))
    return LIMIT * max(seconds(ContentKind.MARKDOWN, prose) for _ in range(3))


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        pytest.param(kind, unit, id=f"{kind.name}-{name}")
        for kind, units in {
            ContentKind.HTML: HTML,
            ContentKind.MARKDOWN: MARKDOWN,
            ContentKind.TEXT: TEXT,
        }.items()
        for name, unit in units.items()
    ],
)
def test_half_a_megabyte_of_one_thing_is_done_soon(
    kind: ContentKind, unit: str, limit: float
) -> None:
    content = unit * (SIZE // len(unit.encode()))
    chunks, taken = read(kind, content)
    assert taken < limit
    assert sum(len(part.text) + len(part.heading) for part in chunks) <= 4 * SIZE


@pytest.mark.parametrize(
    ("starts", "ends"),
    [
        ("<div>", "</p>"),
        ("<b>", "</i>"),
        ("<u><div>" + "<b>" * 98, "</u>"),
        ("<ul><li>", "<li>a</li>"),
        ("<a href=#a>", "b"),
        ("<nav>a", "</nav>"),
        ("<footer>a", "</footer>"),
        ("<div>", "</div>"),
        ("<h1>", "</h2>"),
        ("<svg>", "<p>"),
        ("<div ", "a=b "),
        ("<!--", "--"),
    ],
)
def test_what_follows_does_not_search_a_deep_page_forever(
    starts: str, ends: str, limit: float
) -> None:
    half = SIZE // 2
    content = starts * (half // len(starts)) + ends * (half // len(ends))
    assert seconds(ContentKind.HTML, content) < limit


def test_many_paragraphs_of_open_brackets_are_done_soon(limit: float) -> None:
    content = ("[" * 1_900 + "\n\n") * 50
    assert seconds(ContentKind.MARKDOWN, content) < limit
