"""A megabyte of the worst takes not much more than one of prose, whichever kind it claims to be."""

from __future__ import annotations

import contextlib
import time

import pytest

from service.content.base import UnreadableContentError
from service.content.chunking import chunk
from service.content.registry import extractor_for
from service.core.model import ContentKind

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
LIMIT = 60
"""How many times the processor's time for a megabyte of prose, on the same machine, the
worst may take: five were measured. What is quadratic takes hundreds."""

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


def seconds(kind: ContentKind, content: str) -> float:
    """Of processor, to extract and chunk, whatever else the machine does."""
    began = time.process_time()
    with contextlib.suppress(UnreadableContentError):
        chunk(extractor_for(kind).extract(content))
    return time.process_time() - began


@pytest.fixture(scope="module")
def limit() -> float:
    prose = PROSE * (MEGABYTE // len(PROSE))
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
def test_a_megabyte_of_one_thing_is_done_soon(kind: ContentKind, unit: str, limit: float) -> None:
    content = unit * (MEGABYTE // len(unit.encode()))
    assert seconds(kind, content) < limit
    try:
        chunks = chunk(extractor_for(kind).extract(content))
    except UnreadableContentError:
        chunks = []
    assert sum(len(part.text) + len(part.heading) for part in chunks) <= 4 * MEGABYTE


def test_end_tags_do_not_search_a_deep_page_forever(limit: float) -> None:
    content = "<div>" * 900 + "</p>" * (MEGABYTE // 4 - 1_200)
    assert seconds(ContentKind.HTML, content) < limit


def test_many_paragraphs_of_open_brackets_are_done_soon(limit: float) -> None:
    content = ("[" * 1_900 + "\n\n") * 50
    assert seconds(ContentKind.MARKDOWN, content) < limit
