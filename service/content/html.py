"""HTML: the text that a browser shows of a page, without its navigation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from service.content.base import Extract
from service.content.html_elements import (
    BLOCKS,
    CELLS,
    DRAWINGS,
    DRAWN_TEXT,
    ENDED_BY,
    ENDS_DRAWING,
    FLAT,
    HEADINGS,
    LINED,
    PAGE,
    PARAGRAPH,
    PICTURES,
    ROWS,
    STRUCTURE,
    TITLE,
    VOID,
    Skip,
    is_hidden,
    skip_rule,
)
from service.content.markup import End, Start, tokens
from service.content.navigation import is_contents_title
from service.content.writer import Mark, Writer

_REACH: Final = 100
"""How many elements up an open one is looked for, so that the work grows with the page."""

_NUMBERING: Final = " \t\r\n\x1f0123456789.·•|-"
_ROW, _CELL = "\n", "\x1f"


class Html:
    """Broken markup is read as browsers read it; entities are decoded.

    The page's title is its first heading. Headings keep their levels, images their
    descriptions. Rows of a table are lines with " | " between the cells, items of a list begin
    with "- ", and preformatted text keeps its lines. Left out are scripts, what is hidden, and
    navigation: menus, tables of contents and links to the place where they stand.
    """

    def extract(self, content: str) -> Extract:
        page = _Page()
        for token in tokens(content.removeprefix("\ufeff")):
            if isinstance(token, str):
                page.text(token)
            elif isinstance(token, Start):
                page.start(token)
            else:
                page.end(token)
        return page.close()


@dataclass(slots=True)
class _Element:
    name: str
    hidden: bool = False
    skip: Skip = Skip.NEVER
    begin: _Begin | None = None
    within: bool = False
    """A link to a place of the page."""
    drawn: bool = False
    """Text of a drawing."""
    flat: bool = False
    """It begins and ends no block."""


@dataclass(frozen=True, slots=True)
class _Begin:
    """The state of the page where an element begins that may be left out."""

    written: Mark
    buffered: int
    prefix: str
    read: _Amount


class _Amount(NamedTuple):
    """How much was read: characters, and links."""

    letters: int
    linked: int
    """Characters in links."""
    within: int
    """Characters in links to places of the page."""
    links: int
    """Links to places of the page."""

    def plus(self, letters: int = 0, linked: int = 0, within: int = 0, links: int = 0) -> _Amount:
        return _Amount(
            self.letters + letters, self.linked + linked, self.within + within, self.links + links
        )

    def since(self, before: _Amount) -> _Amount:
        return self.plus(*(-count for count in before))


class _Page:
    """Takes the tags and texts of a page, in order."""

    def __init__(self) -> None:
        self._writer = Writer()
        self._title: list[str] = []
        self._titled: _Element | None = None
        """The first title."""
        self._open: list[_Element] = []
        self._marked: list[_Element] = []
        """Open elements that have a beginning, to be left out from."""
        self._counts: Counter[str] = Counter()
        """Open elements by name."""
        # Open elements of a kind.
        self._hidden = self._drawn = self._preformatted = self._links_within = 0
        self._level = 0
        self._prefix = ""
        self._rows = False
        self._buffer: list[str] = []
        self._read = _Amount(0, 0, 0, 0)

    def start(self, tag: Start) -> None:
        name = tag.name
        if name in ENDS_DRAWING and self._in_drawing:
            self._end_drawing()
        if self._counts["title"] and not self._in_drawing:
            # One that is not closed is over where something else begins.
            self._close(TITLE, STRUCTURE)
        if name in PAGE:
            self._flush()
            return
        attributes = tag.attributes() if tag.source else {}
        if name in VOID:
            self._void(name, attributes)
            return
        if name in ENDED_BY:
            self._close(*ENDED_BY[name])
        flat = False
        if name in BLOCKS:
            self._close(*PARAGRAPH)
            # What a cell begins with is in one line with the other cells.
            flat = name in FLAT and "".join(self._buffer[-2:]).rstrip(" ").endswith(_CELL)
            if not flat:
                self._flush()
        self._push(name, attributes, flat=flat)

    def end(self, tag: End) -> None:
        name = tag.name
        if name in HEADINGS and not self._counts[name]:
            name = next((other for other in HEADINGS if self._counts[other]), name)
        if name == "br":
            self._append("\n")
        elif name not in STRUCTURE and name not in PAGE:
            self._close(frozenset((name,)), STRUCTURE, explicit=True)
        elif self._counts[name]:
            while self._open[-1].name != name:
                self._pop(explicit=False)
            self._pop(explicit=True)
        elif name not in ROWS:
            self._flush()

    def text(self, text: str) -> None:
        if self._open and self._open[-1].name == "title" and not self._in_drawing:
            if self._open[-1] is self._titled:
                self._title.append(text)
        else:
            self._append(text if self._preformatted else text.replace("\n", " "))

    def close(self) -> Extract:
        """What the page says; elements that are still open are not left out."""
        self._flush()
        extract = self._writer.extract()
        title = " ".join("".join(self._title).split())
        first = extract.blocks[0] if extract.blocks else None
        if first is not None and first.level and title == extract.text[first.start : first.end]:
            return extract
        return extract.titled(title)

    @property
    def _in_drawing(self) -> bool:
        return self._counts["svg"] > 0 or self._counts["math"] > 0

    def _push(self, name: str, attributes: Mapping[str, str], *, flat: bool) -> None:
        element = _Element(
            name,
            hidden=is_hidden(name, attributes),
            skip=skip_rule(name, attributes),
            within=name == "a" and attributes.get("href", "").startswith("#"),
            drawn=name in DRAWN_TEXT and self._counts["svg"] > 0,
            flat=flat,
        )
        if element.skip is not Skip.NEVER:
            element.begin = _Begin(self._writer.mark(), len(self._buffer), self._prefix, self._read)
            self._marked.append(element)
        if name in DRAWINGS or element.drawn:
            self._append(" ")
        if name == "svg":
            self._append(attributes.get("aria-label", ""))
        self._open.append(element)
        self._counts[name] += 1
        self._hidden += element.hidden
        self._drawn += element.drawn
        if element.within:
            self._links_within += 1
            self._read = self._read.plus(links=1)
        if name == "title" and self._titled is None and not self._in_drawing:
            self._titled = element
        elif name in HEADINGS:
            self._level = HEADINGS[name]
        elif name == "li":
            self._prefix = "- "
        elif name in LINED:
            self._preformatted += 1
        elif name == "tr":
            self._rows = True
            self._append(_ROW)
        elif name in CELLS:
            self._append(_CELL)

    def _pop(self, *, explicit: bool) -> None:
        """End the innermost element, by its end tag or by what the end of another implies."""
        element = self._open[-1]
        name = element.name
        if name in BLOCKS and not element.flat:
            self._flush()
        if name in DRAWINGS or element.drawn:
            self._append(" ")
        self._open.pop()
        self._counts[name] -= 1
        self._hidden -= element.hidden
        self._drawn -= element.drawn
        self._links_within -= element.within
        if name in HEADINGS:
            self._level = 0
        elif name in LINED:
            self._preformatted -= 1
        begin = element.begin
        if begin is not None:
            self._marked.pop()
        if begin is not None and explicit and self._is_left_out(element.skip, begin):
            self._leave_out(begin)

    def _close(
        self, names: frozenset[str], barriers: frozenset[str], *, explicit: bool = False
    ) -> None:
        """End the innermost open element of these names, if no barrier is inside of it."""
        for up, element in enumerate(reversed(self._open[-_REACH:])):
            if element.name in names:
                for _ in range(up):
                    self._pop(explicit=False)
                self._pop(explicit=explicit)
                return
            if element.name in barriers:
                return

    def _end_drawing(self) -> None:
        """End the drawing, unless what begins is in a part of it that holds a page's text."""
        while self._in_drawing and self._open[-1].name != "foreignobject":
            self._pop(explicit=False)

    def _void(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "br":
            self._append("\n")
        elif name == "hr":
            self._close(*PARAGRAPH)
            self._flush()
        elif (name in PICTURES or attributes.get("type", "").lower() == "image") and not is_hidden(
            name, attributes
        ):
            self._append(" ".join(attributes.get("alt", "").split()))

    def _append(self, text: str) -> None:
        if self._hidden or (self._counts["svg"] and not self._drawn):
            return
        self._buffer.append(text)
        letters = len(text.strip(_NUMBERING))
        if letters:
            self._read = self._read.plus(
                letters,
                letters if self._counts["a"] else 0,
                letters if self._links_within else 0,
            )

    def _is_left_out(self, skip: Skip, begin: _Begin) -> bool:
        apart = begin.buffered == 0
        if not apart and self._writer.mark() != begin.written:
            return False  # A paragraph goes on into it.
        if skip is Skip.PERMALINK:
            return not any(map(str.isalnum, "".join(self._buffer[begin.buffered :])))
        read = self._read.since(begin.read)
        if skip is Skip.MARGIN and self._writer.has_heading(begin.written):
            return False
        if skip in {Skip.LINKS, Skip.MARGIN}:
            return 2 * read.linked >= read.letters
        if skip is Skip.CONTENTS:
            return read.links > 1 and 10 * read.within >= 9 * read.letters
        return True

    def _leave_out(self, begin: _Begin) -> None:
        if self._writer.mark() == begin.written:
            del self._buffer[begin.buffered :]
        else:
            self._writer.rollback(begin.written)
            self._buffer.clear()
            if is_contents_title(self._writer.last):
                self._drop_last()
        self._prefix = begin.prefix

    def _drop_last(self) -> None:
        """Take back the last block, though elements that are open began after it."""
        self._writer.drop_last()
        now = self._writer.mark()
        for element in reversed(self._marked):
            if element.begin is None or element.begin.written.length <= now.length:
                break
            element.begin = replace(element.begin, written=now)

    def _flush(self) -> None:
        if not self._buffer:
            return
        raw = "".join(self._buffer)
        self._buffer.clear()
        if self._preformatted:
            text = raw.strip("\n")
        else:
            text = "\n".join(filter(None, map(_line, raw.split("\n"))))
        if text.strip():
            item = self._prefix != ""
            lines = self._rows or self._preformatted > 0
            self._writer.add(self._prefix + text, level=self._level, lines=lines, tight=item)
            self._prefix = ""
            self._level = 0
        self._rows = False


def _line(raw: str) -> str:
    """A line with single blanks, its cells parted by bars."""
    return " | ".join(filter(None, (" ".join(cell.split()) for cell in raw.split(_CELL))))
