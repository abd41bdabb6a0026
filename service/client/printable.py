"""Text of others, made safe for a terminal."""

from __future__ import annotations

import re
from typing import Final

# Control characters start terminal sequences: titles, colours, keys as if typed. Overrides of the
# writing direction show a line in another order. Half surrogates cannot be encoded.
_UNSAFE: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e\ud800-\udfff]")
_BLANKS: Final = re.compile("[ \t\r\n]+")


def printable(text: str) -> str:
    """The text in one line, with a replacement character for each that is not safe to show."""
    return _UNSAFE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """As `printable`, with a blank for each run of blanks, tabs and line ends."""
    return printable(_BLANKS.sub(" ", text).strip(" "))
