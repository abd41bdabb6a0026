"""Markdown: CommonMark with tables, as it reads when rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from service.content.base import Extract
from service.content.html import Html
from service.content.navigation import is_contents_title
from service.content.text import Text
from service.content.writer import Writer

MAX_MARKS: Final = 100_000
"""Of a document whose markup is read: a megabyte of it that a person wrote has a third
of them. The parser takes up to 30 microseconds for each."""

_MARKS: Final = "\n[<`*_|"
_INLINE_LENGTH: Final = 20_000
"""Characters of a paragraph whose markup is read: marks that find no partner make the
parser look through all of it."""

_FRONT_MATTER: Final = re.compile(
    r"(?:---[ \t]*\n(?!\s*\n)(.*?\n)?(?:---|\.\.\.)|\+\+\+[ \t]*\n(.*?\n)?\+\+\+)[ \t]*(?:\n|\Z)",
    re.DOTALL,
)
"""YAML between lines of dashes, or TOML between lines of plus signs. A line of dashes with a
blank line below is a rule."""
_CONTENTS_PLACE: Final = re.compile(r"\[\[?_?toc_?\]?\]", re.IGNORECASE)
"""Where renderers put a table of contents."""
_CONTENTS_ITEM: Final = re.compile(r"\[[^\[\]]*\]\(#[^()\s]*\)")
"""An item of a table of contents: a link to a place of the document."""
_LISTS: Final = frozenset({"bullet_list_open", "ordered_list_open"})
_LIST_PARTS: Final = frozenset(
    (  # noqa: SIM905
        "bullet_list_open bullet_list_close ordered_list_open ordered_list_close list_item_open "
        "list_item_close paragraph_open paragraph_close"
    ).split()
)
_BREAKS: Final = {"softbreak": " ", "hardbreak": "\n"}
_SHOWN: Final = frozenset({"text", "text_special", "code_inline", "image"})


class Markdown:
    """Emphasis, link targets and fences are dropped, their text stays.

    Headings keep their levels, code its lines. Rows of a table are lines with " | "
    between the cells, items of a list begin with "- ". HTML in it is read as HTML.
    A document with more than MAX_MARKS is read as plain text, its markup included.
    """

    def __init__(self) -> None:
        self._parser = MarkdownIt("commonmark").enable("table")
        self._parser.core.ruler.disable("inline")
        self._html = Html()
        self._text = Text()

    def extract(self, content: str) -> Extract:
        if sum(map(content.count, _MARKS)) > MAX_MARKS:
            return self._text.extract(content)
        writer = Writer()
        content = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        front = _FRONT_MATTER.match(content)
        if front is not None:
            writer.add(front[1] or front[2] or "", lines=True)
            content = content[front.end() :]
        references: dict[str, Any] = {}
        tokens = _without_contents(self._parser.parse(content, references), writer)
        item = False
        for token in tokens:
            if token.type == "inline":
                if _CONTENTS_PLACE.fullmatch(token.content):
                    continue
                text = self._inline(token.content, references)
                writer.add("- " + text if item else text, tight=item)
                item = False
            elif token.type == "heading_open":
                text = self._inline(next(tokens).content, references)
                writer.add(text, level=int(token.tag[1:]))
            elif token.type in {"fence", "code_block"}:
                writer.add(token.content.strip("\n"), lines=True)
            elif token.type == "html_block":
                writer.append(self._html.extract(token.content))
            elif token.type == "table_open":
                writer.add("\n".join(self._rows(tokens, references)), lines=True)
            elif token.type in {"list_item_open", "list_item_close"}:
                item = token.type == "list_item_open"
        return writer.extract()

    def _rows(self, tokens: Iterator[Token], references: dict[str, Any]) -> Iterator[str]:
        """The rows of the table whose opening was read; consumes the tokens up to its end."""
        cells: list[str] = []
        for token in tokens:
            if token.type == "inline":
                cells.append(self._inline(token.content, references))
            elif token.type == "tr_close":
                yield " | ".join(cells)
                cells = []
            elif token.type == "table_close":
                return

    def _inline(self, source: str, references: dict[str, Any]) -> str:
        if len(source) > _INLINE_LENGTH:
            return source
        found: list[Token] = []
        self._parser.inline.parse(source, self._parser, references, found)
        return _plain(found)


def _without_contents(tokens: Sequence[Token], writer: Writer) -> Iterator[Token]:
    """The tokens without lists of links to places of the document, and without their title.

    Args:
        tokens: Those of a document.
        writer: Has been given all that was taken of what this yields.
    """
    end = 0
    for place, token in enumerate(tokens):
        if place < end:
            continue
        if token.type in _LISTS and token.level == 0:
            end = (
                next(
                    later
                    for later in range(place, len(tokens))
                    if tokens[later].nesting < 0 and tokens[later].level == 0
                )
                + 1
            )
            texts = [one.content for one in tokens[place:end] if one.type not in _LIST_PARTS]
            if len(texts) > 1 and all(map(_CONTENTS_ITEM.fullmatch, texts)):
                if is_contents_title(writer.last):
                    writer.drop_last()
                continue
            end = 0
        yield token


def _plain(tokens: Sequence[Token]) -> str:
    """Their visible text; of an image, its description."""
    parts = []
    for token in tokens:
        if token.type == "image":
            parts.append(_plain(token.children or ()))
        elif token.type in _SHOWN:
            parts.append(token.content)
        elif token.type == "html_inline" and token.content.lower().startswith("<br"):
            parts.append("\n")
        else:
            parts.append(_BREAKS.get(token.type, ""))
    return "".join(parts)
