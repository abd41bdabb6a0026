"""HTML: the visible text of the page, without scripts, styles and navigation."""

from __future__ import annotations

from typing import Final

from lxml import etree

from service.content.base import Extract, UnreadableContentError
from service.content.writer import Writer

MAX_DEPTH: Final = 1_000
"""Depth of nested elements. The parser goes through those that are open for
every end tag: without a bound, a megabyte of tags would keep it busy for minutes."""

_FEED: Final = 2_048
"""Bytes between two checks of the depth."""

_HIDDEN: Final = frozenset(
    (  # noqa: SIM905
        "canvas head iframe nav noscript object script select style svg template"
    ).split()
)
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_BREAKING: Final = frozenset(
    (  # noqa: SIM905
        "address article aside blockquote body caption center dd details dialog div dl dt fieldset "
        "figcaption figure footer form header hr html legend main menu ol p section summary table "
        "ul"
    ).split()
)
_ROW, _CELL = "\n", "\x1f"


class Html:
    """Broken markup is read as browsers read it; entities are decoded.

    Headings keep their levels. Rows of a table are lines with " | " between the
    cells, items of a list begin with "- ", and preformatted text keeps its lines.
    """

    def extract(self, content: str) -> Extract:
        page = _Page()
        # libxml2 fetches nothing, expands no entity but HTML's own, and here builds no tree.
        parser = etree.HTMLParser(target=page, encoding="utf-8", no_network=True)
        data = content.encode()
        for at in range(0, len(data), _FEED):
            parser.feed(data[at : at + _FEED])
            if page.depth > MAX_DEPTH:
                raise UnreadableContentError(
                    f"the HTML has more than {MAX_DEPTH} elements inside one another; "
                    "close its elements, or send its text as plain text"
                )
        if data:
            try:
                parser.close()
            except etree.XMLSyntaxError:
                # It complains of a page without any element, which is a page without text.
                page.close()
        return page.writer.extract()


class _Page:
    """Takes the parser's events."""

    def __init__(self) -> None:
        self.writer = Writer()
        self.depth = 0
        self._hidden = 0
        self._preformatted = 0
        self._level = 0
        self._prefix = ""
        self._rows = False
        self._buffer: list[str] = []

    def start(self, tag: str, attributes: object) -> None:  # noqa: ARG002  (the parser gives it)
        self.depth += 1
        if tag in _HIDDEN:
            self._hidden += 1
        elif self._hidden:
            return
        elif tag in _BREAKING:
            self._flush()
        elif tag in _HEADINGS:
            self._flush()
            self._level = _HEADINGS[tag]
        elif tag == "li":
            self._flush()
            self._prefix = "- "
        elif tag in {"pre", "textarea"}:
            self._flush()
            self._preformatted += 1
        elif tag == "tr":
            self._rows = True
            self._buffer.append(_ROW)
        elif tag in {"td", "th"}:
            self._buffer.append(_CELL)
        elif tag == "br":
            self._buffer.append("\n")

    def end(self, tag: str) -> None:
        self.depth -= 1
        if tag in _HIDDEN:
            self._hidden -= 1
        elif self._hidden:
            return
        elif tag in _BREAKING or tag == "li":
            self._flush()
        elif tag in _HEADINGS:
            self._flush()
            self._level = 0
        elif tag in {"pre", "textarea"}:
            self._flush()
            self._preformatted -= 1

    def data(self, text: str) -> None:
        if not self._hidden:
            self._buffer.append(text if self._preformatted else text.replace("\n", " "))

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        raw = "".join(self._buffer)
        self._buffer.clear()
        if self._preformatted:
            text = raw.strip("\n")
        else:
            text = "\n".join(filter(None, map(_line, raw.split("\n"))))
        if text.strip():
            item = self._prefix != ""
            lines = self._rows or self._preformatted > 0
            self.writer.add(self._prefix + text, level=self._level, lines=lines, tight=item)
            self._prefix = ""
        self._rows = False


def _line(raw: str) -> str:
    """A line with single blanks, its cells parted by bars."""
    return " | ".join(filter(None, (" ".join(cell.split()) for cell in raw.split(_CELL))))
