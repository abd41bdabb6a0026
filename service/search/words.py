"""Words, and the terms that stand for them in the index.

Words are runs of letters and digits, folded (`folding`) and without case. An English
ending with an apostrophe is dropped ("Ann's"), and so is an elided article ("l'eau");
otherwise an apostrophe separates words. Scripts that write no spaces between words, and
Hangul, whose words carry their particles, are cut into overlapping pairs of characters.

What else a text is found by, such as "2.1" as a whole, is added by `forms`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from service.search.folding import fold
from service.search.languages import STOP_WORDS
from service.search.stemming import stem

VERBATIM = "="
"""Before a word: it is a term as it stands, neither stemmed nor a stop word."""

HANGUL = "\uac00-\ud7a3"
UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
) + HANGUL
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_ASCII_FOLDED = "".join(
    letter.lower() if letter.isalnum() or letter == "'" else " " for letter in map(chr, range(128))
)
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")
_PAIRED = re.compile(f"[{UNSPACED}]{{2,}}")
_SUFFIX = re.compile(r"(?:n't|'(?:s|m|d|re|ve|ll))$")
_TYPOGRAPHY = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u00a0", "''\"\"--. ")
_ELISIONS = (
    "l d j n m t s c qu jusqu lorsqu puisqu quoiqu un dell nell sull dall all coll gl quest quell"
)
_ELIDED = frozenset(_ELISIONS.split())
"""What is written before an apostrophe in place of an article, pronoun or preposition."""


@cache
def _marks() -> str:
    """The combining marks, as a part of a character class; all of Unicode is scanned."""
    return "".join(chr(i) for i in range(0x300, 0xFFFF) if unicodedata.category(chr(i))[0] == "M")


@cache
def _word() -> re.Pattern[str]:
    """A word of any script."""
    letters = rf"[^\W_{UNSPACED}]+(?:[{_marks()}]+[^\W_{UNSPACED}]*)*"
    return re.compile(rf"[{UNSPACED}]+|{letters}(?:'{letters})*")


@cache
def word_pattern() -> str:
    """A regular expression for letters, digits and marks of any script, without spaces."""
    return rf"(?:[^\W_]|[{_marks()}])+"


def folded(text: str) -> str:
    """The text with each letter and each quotation mark in its one form; case is kept."""
    return text if text.isascii() else fold(text.translate(_TYPOGRAPHY))


def split_words(text: str) -> list[str]:
    """The folded words of a text, in order."""
    return split_folded(folded(text))


def split_folded(text: str) -> list[str]:
    """The words of a text that `folded` has given."""
    if text.isascii():
        runs = text.translate(_ASCII_FOLDED).split()
        return _without_apostrophes(runs) if "'" in text else runs
    words = []
    for word in _word().findall(text.casefold()):
        if len(word) > 1 and _IS_UNSPACED.match(word):
            words += [word[i : i + 2] for i in range(len(word) - 1)]
        elif "'" in word:
            words += _split_apostrophes(word)
        else:
            words.append(word)
    return words


def _without_apostrophes(runs: Iterable[str]) -> list[str]:
    """The words of runs of ASCII letters, digits and apostrophes, less their endings."""
    words: list[str] = []
    for run in runs:
        if "'" in run:
            for word in _ASCII_WORD.findall(run):
                words += _split_apostrophes(word)
        else:
            words.append(run)
    return words


def _split_apostrophes(word: str) -> list[str]:
    """The words on both sides of apostrophes, less English endings and elided articles."""
    parts = [part for part in _SUFFIX.sub("", word).split("'") if part]
    while len(parts) > 1 and parts[0] in _ELIDED:
        del parts[0]
    return parts


def paired_characters(text: str) -> list[str]:
    """The characters that `split_words` gives in pairs only, one by one.

    Indexed in addition to the pairs, they let a word of one character be found.
    """
    return [] if text.isascii() else list("".join(_PAIRED.findall(folded(text))))


def is_unspaced(word: str) -> bool:
    """Whether a word is of a script that is cut into pairs of characters."""
    return _IS_UNSPACED.match(word) is not None


def term_of(word: str) -> str:
    """The term a folded word counts as; "" for a stop word."""
    if word.startswith(VERBATIM):
        return word[1:]
    return "" if word in STOP_WORDS else stem(word)


def without_words(text: str, unwanted: frozenset[str]) -> str:
    """The text less the words that are, folded, among the unwanted; spaces become single."""

    def kept(match: re.Match[str]) -> str:
        return "" if unwanted.intersection(split_words(match.group())) else match.group()

    return " ".join(_word().sub(kept, text.translate(_TYPOGRAPHY)).split())
