"""Words, and the terms that stand for them in the index.

Words are runs of letters and digits, compared without case, accents and compatible
forms (Unicode case folding and NFKD). English words lose their ending (Porter's
stemmer; words in other alphabets pass through it unchanged) and the commonest of
them are no terms. Scripts that write no spaces between words are cut into overlapping
pairs of characters.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable
from functools import cache

import Stemmer

_STOP_WORDS = """
    a about after all also am an and any are as at be because been before being but by ca can could
    did do does doing for from had has have having he her here hers him his how i if in into is it
    its just like may me might more most my no not of off on once only or other our ours out over
    own s same shall she should so some such t than that the their theirs them then there these
    they this those through to too under until up us very was we were what when where which while
    who whom whose why will with wo would you your yours
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say nothing about what a sentence is about."""

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_ASCII_FOLDED = "".join(
    letter.lower() if letter.isalnum() or letter == "'" else " " for letter in map(chr, range(128))
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_PAIRED = re.compile(f"[{_UNSPACED}]{{2,}}")
_SUFFIX = re.compile(r"(?:n't|'(?:s|m|d|re|ve|ll))$")
_TYPOGRAPHY = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u00a0", "''\"\"--. ")
_ACCENTS = re.compile("[\u0300-\u036f]")


@cache
def _word() -> re.Pattern[str]:
    """A word of any script; made at first use, since all of Unicode has to be scanned."""
    marks = "".join(chr(i) for i in range(0x300, 0xFFFF) if unicodedata.category(chr(i))[0] == "M")
    letters = rf"[^\W_{_UNSPACED}]+(?:[{marks}]+[^\W_{_UNSPACED}]*)*"
    return re.compile(rf"[{_UNSPACED}]+|{letters}(?:'{letters})*")


def split_words(text: str) -> list[str]:
    """The folded words of a text, in order."""
    if not text.isascii():
        text = text.translate(_TYPOGRAPHY)  # most typographic text then takes the faster ASCII path
    if text.isascii():
        runs = text.translate(_ASCII_FOLDED).split()
        return _without_apostrophes(runs) if "'" in text else runs
    words = []
    for word in _word().findall(_fold(text)):
        if len(word) > 1 and _IS_UNSPACED.match(word):
            words += [word[i : i + 2] for i in range(len(word) - 1)]
        else:
            words.append(_SUFFIX.sub("", word))
    return words


def _without_apostrophes(runs: Iterable[str]) -> list[str]:
    """The words of runs of ASCII letters, digits and apostrophes, less their endings."""
    words: list[str] = []
    for run in runs:
        if "'" in run:
            words += [_SUFFIX.sub("", word) for word in _ASCII_WORD.findall(run)]
        else:
            words.append(run)
    return words


def paired_characters(text: str) -> list[str]:
    """The characters that `split_words` gives in pairs only, one by one.

    Indexed in addition to the pairs, they let a word of one character be found.
    """
    return [] if text.isascii() else list("".join(_PAIRED.findall(_fold(text))))


def term_of(word: str) -> str:
    """The term a folded word counts as; "" for a stop word."""
    if word in STOP_WORDS:
        return ""
    # A stemmer may not be used by two threads at once.
    stemmer: Stemmer.Stemmer | None = getattr(_stemmers, "porter", None)
    if stemmer is None:
        stemmer = _stemmers.porter = Stemmer.Stemmer("porter", 0)
    return str(stemmer.stemWord(word))


def without_words(text: str, unwanted: frozenset[str]) -> str:
    """The text less the words that are, folded, among the unwanted; spaces become single."""

    def kept(match: re.Match[str]) -> str:
        return "" if unwanted.intersection(split_words(match.group())) else match.group()

    return " ".join(_word().sub(kept, text.translate(_TYPOGRAPHY)).split())


def _fold(text: str) -> str:
    # Compatible forms to one form, accents off, and what is left together again.
    apart = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart))


_stemmers = threading.local()
