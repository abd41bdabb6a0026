"""What stands for a query's words in entries of version 1, whose analysis was another.

It folded letters in fewer ways, kept apostrophes inside words and Korean words whole, and
knew no stems but English ones. Such entries are looked through for its terms as well, until
they are made again; then the terms of today are all that counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from service.search.forms import runs
from service.search.languages import STOP_WORDS
from service.search.stemming import stem_in
from service.search.words import folded, split_folded, word_pattern

_TYPOGRAPHY = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u00a0", "''\"\"--. ")
_ACCENTS = re.compile("[\u0300-\u036f]")
_SUFFIX = re.compile(r"(?:n't|'(?:s|m|d|re|ve|ll))$")
_PAIRED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Runs of the scripts that it cut into pairs, as they still are."""


class V1Part(NamedTuple):
    """A part of a text between spaces, of which not all terms are those of version 1."""

    called: frozenset[str]
    """What the terms of today are called in `parsed_query.QueryTerm.text`."""

    terms: tuple[str, ...]
    """Those of version 1."""


def v1_parts(text: str) -> Iterator[V1Part]:
    """The parts of a text for which entries of version 1 have other terms."""
    for part in text.split():
        if part.isascii() and "'" not in part:
            continue
        words = [word for word in _words(part) if word not in STOP_WORDS]
        if words:
            said = folded(part)
            called = frozenset((*split_folded(said), *(run.casefold() for run in runs(said))))
            yield V1Part(called, tuple(stem_in("porter", word) for word in words))


def _words(text: str) -> list[str]:
    """The words, less pairs of characters."""
    apart = unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHY)).casefold()
    spelled = unicodedata.normalize("NFC", _ACCENTS.sub("", apart))
    words = _word().findall(_PAIRED.sub(" ", spelled))
    return [_SUFFIX.sub("", word) for word in words]


@cache
def _word() -> re.Pattern[str]:
    word = word_pattern()
    return re.compile(f"{word}(?:'{word})*")
