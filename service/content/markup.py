"""HTML as a sequence of tags and texts, read as browsers read it.

Tags are read as the HTML standard's tokenizer reads them ("13.2.5 Tokenization"): a tag that
does not end swallows the rest, comments end where they do in browsers, and nothing in a script
is a tag. Each character is looked at a fixed number of times, whatever the page is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

_OPENING: Final = re.compile(r"<(?:[A-Za-z]|/[A-Za-z]|[!?/])")
_NAME: Final = re.compile(r"[^\s/>]++")
# Quotes count behind an equals sign alone. Without a ">" it matches nothing.
_REST: Final = re.compile(r"""(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+'|(?!["'])))*+>""")
_ATTRIBUTE: Final = re.compile(
    r"""([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>][^\s>]*+)))?+"""
)
# More digits than Python reads as a number; leading zeros say nothing.
_ZEROS: Final = re.compile(r"&#0+(?=[0-9])")
_HUGE: Final = re.compile(r"&#[0-9]{8,}")
_COMMENT: Final = re.compile(r"<!--(?:-?>|.*?--!?>)", re.DOTALL)

_RAW: Final = frozenset({"iframe", "noembed", "noframes", "script", "style"})
"""Elements whose content holds no tags and no entities."""
_CHARACTERS: Final = frozenset({"textarea", "title", "xmp"})
"""Elements whose content holds no tags."""


class Start(NamedTuple):
    """A start tag; `source` is what stands between its name and its end."""

    name: str
    source: str

    def attributes(self) -> dict[str, str]:
        """Values by name in lower case; of two with one name the first counts."""
        found: dict[str, str] = {}
        for name, *values in _ATTRIBUTE.findall(self.source):
            found.setdefault(name.lower(), _decoded("".join(values)))
        return found


class End(NamedTuple):
    """An end tag."""

    name: str


def tokens(source: str) -> Iterator[Start | End | str]:
    """The tags and the decoded texts of a page, in order; comments are left out.

    The content of scripts, styles and their like is left out as well.
    """
    endless: set[str] = set()
    """Names that have no further end tag."""
    position = written = 0
    while found := _OPENING.search(source, position):
        position = found.start()
        name = _NAME.match(source, found.end() - 1) if source[found.end() - 1].isalpha() else None
        if name is None:
            past = _past_markup(source, position)
        else:
            rest = _REST.match(source, name.end())
            past = len(source) if rest is None else rest.end()
        if written < position:
            yield _decoded(source[written:position])
        written = position = past
        if name is None or rest is None:
            continue
        tag = name[0].lower()
        if found[0].startswith("</"):
            yield End(tag)
            continue
        start = Start(tag, source[name.end() : past - 1])
        yield start
        if tag in _RAW or (tag in _CHARACTERS and tag not in endless):
            end = None if tag in endless else _closing(tag).search(source, past)
            if end is not None:
                written = position = end.start()
                if tag in _CHARACTERS and past < position:
                    yield _decoded(source[past:position])
            elif tag in _CHARACTERS or start.source.endswith("/"):
                # In a browser the rest of the page would be its name, markup included.
                endless.add(tag)
            else:
                return
        elif tag == "plaintext":
            yield source[past:]
            return
    if written < len(source):
        yield _decoded(source[written:])


def _past_markup(source: str, position: int) -> int:
    """Where a comment, a declaration or an end tag without a name is over."""
    if source.startswith("<!--", position):
        comment = _COMMENT.match(source, position)
        return len(source) if comment is None else comment.end()
    end = source.find(">", position)
    return len(source) if end < 0 else end + 1


@cache
def _closing(tag: str) -> re.Pattern[str]:
    return re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE | re.ASCII)


def _decoded(text: str) -> str:
    """The text with its character references replaced."""
    if "&" not in text:
        return text
    if "&#" in text:
        text = _HUGE.sub("&#9999999", _ZEROS.sub("&#", text))
    return html.unescape(text)
