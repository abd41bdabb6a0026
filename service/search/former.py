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


class FormerPart(NamedTuple):
    """A part of a text between spaces, of which not all terms are those of version 1."""

    called: frozenset[str]
    """What the terms of today are called in `question.QueryTerm.text`."""

    words: tuple[str, ...]
    """Its words of today, folded."""

    former_words: tuple[str, ...]
    """Its words of version 1 that are terms."""

    @property
    def former_terms(self) -> tuple[str, ...]:
        """Of the same: their terms."""
        return tuple(stem_in("porter", word) for word in self.former_words)


def former_parts(text: str) -> Iterator[FormerPart]:
    """The parts of a text for which entries of version 1 have other terms."""
    if text.isascii() and "'" not in text:
        return
    for part in text.split():
        former_words = [word for word in _former_words(part) if word not in STOP_WORDS]
        if former_words:
            said = folded(part)
            words = split_folded(said)
            called = frozenset((*words, *(run.casefold() for run in runs(said))))
            yield FormerPart(called, tuple(words), tuple(former_words))


def _former_words(text: str) -> list[str]:
    """The words, less pairs of characters."""
    apart = unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHY)).casefold()
    spelled = unicodedata.normalize("NFC", _ACCENTS.sub("", apart))
    words = _word().findall(_PAIRED.sub(" ", spelled))
    return [_SUFFIX.sub("", word) for word in words]


@cache
def _word() -> re.Pattern[str]:
    word = word_pattern()
    return re.compile(f"{word}(?:'{word})*")
