"""What the elements of HTML are: which begin blocks, which end others, which are left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from service.content.navigation import is_navigation, may_be_navigation


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOID: Final = _names(
    "area base basefont bgsound br col embed frame hr img input keygen link meta param source "
    "track wbr"
)
HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
LINED: Final = _names("pre textarea xmp")
BLOCKS: Final = (
    _names(
        "address article aside blockquote body caption center dd details dialog dir div dl dt "
        "fieldset figcaption figure footer form header hgroup html legend li listing main menu nav "
        "ol p search section summary table ul"
    )
    | LINED
    | HEADINGS.keys()
)
"""Elements that begin a block of text, and end one."""
FLAT: Final = _names("div p")
TITLE: Final = _names("title")
CELLS: Final = _names("td th")
PICTURES: Final = _names("area img")
_MARGINS: Final = _names("aside footer header")
PAGE: Final = _names("body head html")
_LISTS: Final = _names("dir menu ol ul")
ROWS: Final = _names("table tbody td tfoot th thead tr")
STRUCTURE: Final = BLOCKS | ROWS | _names("button foreignobject math object select svg template")
"""Elements that an end tag of formatting does not reach beyond."""

_HIDDEN: Final = _names("annotation annotation-xml datalist metadata rp template")
"""Elements that no browser shows."""
_SKIPPED: Final = _names("audio canvas nav noscript object select video")
"""Elements that are left out, if they are closed: else the page is in them."""
_NEVER_SKIPPED: Final = _names("article main title")
DRAWINGS: Final = _names("math svg")
DRAWN_TEXT: Final = _names("desc foreignobject text title")
ENDS_DRAWING: Final = (
    _names(
        "b big br code em embed head hr i img meta nobr ruby s small span strike strong sub sup "
        "tt u var"
    )
    | BLOCKS
)
"""Elements that are in no drawing: their start tag ends one that is open."""

_IN_TABLE: Final = _names("table")
ENDED_BY: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "li": (_names("li"), _LISTS),
    "dt": (_names("dd dt"), _names("dl")),
    "dd": (_names("dd dt"), _names("dl")),
    "option": (_names("option"), _names("select")),
    "td": (_names("td th"), _names("table tr")),
    "th": (_names("td th"), _names("table tr")),
    "tr": (_names("tr"), _IN_TABLE),
    "tbody": (_names("tbody tfoot thead"), _IN_TABLE),
    "tfoot": (_names("tbody tfoot thead"), _IN_TABLE),
    "thead": (_names("tbody tfoot thead"), _IN_TABLE),
    "a": (_names("a"), STRUCTURE),
}
"""Elements whose start tag ends an open one of these, unless one of those is in between."""
PARAGRAPH: Final = (_names("p"), STRUCTURE - {"p"})

_INVISIBLE: Final = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE
)


class Skip(Enum):
    """When an element is left out, provided that an end tag closes it."""

    NEVER = auto()
    ALWAYS = auto()
    LINKS = auto()
    """If it is made of links."""
    MARGIN = auto()
    """If it is made of links and has no heading."""
    CONTENTS = auto()
    """If it is made of links to places of the page."""
    PERMALINK = auto()
    """If it is a sign, such as a pilcrow, that links to a place of the page."""


def is_hidden(name: str, attributes: Mapping[str, str]) -> bool:
    """Whether a browser does not show the element."""
    if name in _HIDDEN or (name == "dialog" and "open" not in attributes):
        return True
    if not attributes:
        return False
    # Browsers find the text of "until-found", and then show it.
    hidden = attributes.get("hidden", "until-found").lower()
    return hidden != "until-found" or _INVISIBLE.search(attributes.get("style", "")) is not None


def skip_rule(name: str, attributes: Mapping[str, str]) -> Skip:
    """When the element is left out."""
    if name in _NEVER_SKIPPED:
        return Skip.NEVER
    if name in _SKIPPED or is_navigation(attributes):
        return Skip.ALWAYS
    if may_be_navigation(attributes):
        return Skip.LINKS
    if name in _MARGINS:
        return Skip.MARGIN
    if name in _LISTS:
        return Skip.CONTENTS
    if name == "a" and "#" in attributes.get("href", ""):
        return Skip.PERMALINK
    return Skip.NEVER
