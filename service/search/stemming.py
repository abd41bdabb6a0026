"""Stems: the part of a word that its inflections share (Snowball stemmers).

Which stemmer a word takes follows from its script alone, so that one word has one stem
wherever it stands. Words in Latin letters take Porter's stemmer for English. Languages in
Latin letters have stems of their own in addition (`stem_in`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import lru_cache

import Stemmer

from service.search.languages import LATIN

_SCRIPTS = (
    ("\u0370", "\u03ff", "greek"),
    ("\u0400", "\u052f", "russian"),
    ("\u0530", "\u058f", "armenian"),
    ("\u0600", "\u06ff", "arabic"),
    ("\u0900", "\u097f", "hindi"),
    ("\u0b80", "\u0bff", "tamil"),
)
_CUT = (
    # Scripts without a stemmer, whose words inflect by endings: what is left of a longer word.
    ("\u0a00", "\u0b7f", 5),  # Gurmukhi to Oriya
    ("\u0c00", "\u0dff", 5),  # Telugu to Sinhala
    ("\u10a0", "\u10ff", 4),  # Georgian
)
_BENGALI = ("\u0980", "\u09ff")
_BENGALI_ENDINGS = [
    "গুলোর",
    "গুলো",
    "গুলি",
    "দের",
    "ের",
    "তে",
    "রা",
    "টার",
    "টির",
    "টা",
    "টি",
    "কে",
    "র",
    "ে",
]
_LEAST_STEM = 2
_HEBREW = ("\u05d0", "\u05ea")
_HEBREW_PREFIXES = "והבכלמש"
_ETHIOPIC = ("\u1200", "\u137f")
_ETHIOPIC_PREFIXES = "በየለከእስ"
_LEAST_WITHOUT_PREFIX = 3

_UNSTEMMED = frozenset(("vietnamese",))


def stem(word: str) -> str:
    """The stem of a folded word."""
    if word.isascii():
        return _stemmed("porter", word)
    first = word[0]
    for low, high, stemmer in _SCRIPTS:
        if low <= first <= high:
            return _stemmed(stemmer, word)
    if _BENGALI[0] <= first <= _BENGALI[1]:
        return _without_ending(word, _BENGALI_ENDINGS)
    for low, high, length in _CUT:
        if low <= first <= high:
            return word[:length]
    return word


def _without_ending(word: str, endings: Iterable[str]) -> str:
    for ending in endings:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            return word[: -len(ending)]
    return word


def without_prefixes(word: str) -> str:
    """A Hebrew or Amharic word without the article and prepositions written onto it."""
    first = word[0]
    if _HEBREW[0] <= first <= _HEBREW[1]:
        prefixes = _HEBREW_PREFIXES
    elif _ETHIOPIC[0] <= first <= _ETHIOPIC[1]:
        prefixes = _ETHIOPIC_PREFIXES
    else:
        return word
    if len(word) > _LEAST_WITHOUT_PREFIX and first in prefixes:
        return word[1:]
    return word


def stem_in(language: str, word: str) -> str:
    """The stem of a folded word of a language in Latin letters, by `languages.LATIN`."""
    return word if language in _UNSTEMMED else _stemmed(language, word)


@lru_cache(maxsize=1024)
def stems_anywhere(word: str) -> frozenset[str]:
    """The stems that a word has in any of the languages in Latin letters."""
    return frozenset(stem_in(language, word) for language in LATIN)


def stems_of(language: str, words: Iterable[str]) -> list[str]:
    """The stems of words of one language, in their order."""
    words = list(words)
    if language in _UNSTEMMED:
        return words
    stems: list[str] = _stemmer(language).stemWords(words)
    return stems


def _stemmed(stemmer: str, word: str) -> str:
    return str(_stemmer(stemmer).stemWord(word))


def _stemmer(name: str) -> Stemmer.Stemmer:
    # A stemmer may not be used by two threads at once.
    stemmers: dict[str, Stemmer.Stemmer] = _local.__dict__
    if name not in stemmers:
        stemmers[name] = Stemmer.Stemmer(name, 0 if name == "porter" else 10_000)
    return stemmers[name]


_local = threading.local()
