"""A megabyte of the worst takes seconds, whichever kind it claims to be."""

from __future__ import annotations

import time

import pytest

from service.content.base import UnreadableContentError
from service.content.cutting import cut
from service.content.registry import kind_of
from service.core.model import ContentKind

MEGABYTE = 1 << 20
LIMIT = 20.0
"""Seconds of processor; measured are up to 2. What is quadratic takes minutes."""

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
def test_a_megabyte_of_one_thing_is_done_soon(kind: ContentKind, unit: str) -> None:
    content = unit * (MEGABYTE // len(unit.encode()))
    began = time.process_time()
    try:
        pieces = cut(kind_of(kind).extract(content))
    except UnreadableContentError:
        pieces = []
    assert time.process_time() - began < LIMIT
    assert sum(len(piece.text) + len(piece.heading) for piece in pieces) <= 4 * MEGABYTE


def test_end_tags_do_not_search_a_deep_page_forever() -> None:
    content = "<div>" * 900 + "</p>" * (MEGABYTE // 4 - 1_200)
    began = time.process_time()
    kind_of(ContentKind.HTML).extract(content)
    assert time.process_time() - began < LIMIT


def test_many_paragraphs_of_open_brackets_are_done_soon() -> None:
    content = ("[" * 1_900 + "\n\n") * 50
    began = time.process_time()
    kind_of(ContentKind.MARKDOWN).extract(content)
    assert time.process_time() - began < LIMIT
