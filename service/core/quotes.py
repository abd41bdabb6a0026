"""Double quotes in queries: what stands between them must be in what is found."""

from __future__ import annotations

import re

MAX_PHRASES = 16
"""Phrases that a query may have in double quotes."""

# Scripts in which a quote stands next to a letter without a space between them.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W_{_UNSPACED}]"
# A quote after a letter or digit opens nothing (5" is a length), and one before a letter or
# digit closes nothing. Typographic quotes open and close as the languages have them.
_QUOTED = re.compile(
    rf"""
    (?<!{_LETTER}) (?:
        " ( [^"]+ ) "
      | \uff02 ( [^\uff02]+ ) \uff02
      | [“”„‟] ( [^“”„‟]+ ) [“”]
      | « ( [^«»]+ ) »
      | » ( [^«»]+ ) «
    ) (?!{_LETTER})
    """,
    re.VERBOSE,
)


def quoted(text: str) -> tuple[str, ...]:
    """The phrases of a query that stand in double quotes, in order.

    A quote that is not closed is text, and so are quotes around what has neither letter
    nor digit.
    """
    phrases = (match[match.lastindex or 0] for match in _QUOTED.finditer(text))
    return tuple(phrase for phrase in phrases if has_word(phrase))


def has_word(text: str) -> bool:
    """Whether there is a letter or digit in a text."""
    return any(map(str.isalnum, text))
