"""One spelling for what readers take as the same letters.

Texts and queries are folded alike before they are split into words. Compatible forms
become one (Unicode NFKD), and marks come off where a script's readers leave them out:
accents of Latin and Greek, vowel points of Hebrew and Arabic, the nukta of Devanagari.
Marks stay where they make another letter: й and ї in Cyrillic, vowel signs of Indic
scripts, voicing marks of kana, tone marks of Thai. Digits of every script become ASCII.
"""

from __future__ import annotations

import re
import unicodedata

_LETTERS = {
    # Latin letters that NFKD leaves whole.
    **dict(zip("łŁøØđĐðÐħĦŧŦıŋŊƙɓɗ", "lLoOdDdDhHtTinNkbd", strict=True)),
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "þ": "th",
    "Þ": "Th",
    "ẞ": "SS",
    # Arabic letters that keyboards of its languages write differently.
    **dict(zip("ٱىیےکةہە", "ايييكههه", strict=True)),
    # Modifier letters used as apostrophes, and their look-alikes.
    **dict.fromkeys("\u02bc\u02bb\u02b9\u055a\uff07\u05f3", "'"),
    # The signs of Devanagari and Gurmukhi for a nasal, of which one is as good as another.
    "\u0901": "\u0902",
    "\u0a70": "\u0a02",
}
_NON_JOINER = "\u200c"
_OPTIONAL_MARKS = (
    (0x0300, 0x036F),  # of Latin, Greek and Cyrillic
    (0x0591, 0x05C7),  # points and cantillation of Hebrew
    (0x0610, 0x061A),
    (0x064B, 0x065F),  # vowel signs of Arabic; 0670 is the dagger alef
    (0x0670, 0x0670),
    (0x06D6, 0x06DC),
    (0x06DF, 0x06E8),
    (0x06EA, 0x06ED),
    (0x093C, 0x093C),  # the nukta of Devanagari
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
)
_DROPPED = frozenset(
    (0x0640, *range(0x055B, 0x055F))  # tatweel; signs of tone inside Armenian words
)

_CYRILLIC_MARKED = re.compile("[\u0400-\u052f][\u0300-\u036f]+")
_CYRILLIC_LETTERS = frozenset("йЙїЇўЎѓЃќЌ")
_PERSIAN_JOINT = re.compile("(?<=[\u0620-\u06ff])\u200c(?=[\u0620-\u06ff])")
_NASAL_BEFORE_CONSONANT = re.compile("[\u0919\u091e\u0923\u0928\u092e]\u094d(?=[\u0915-\u0939])")
_ANUSVARA = "\u0902"


class _Folds(dict[int, str]):
    """What becomes of each code point; computed at its first use."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _folded(code)
        return folded


def _folded(code: int) -> str:
    letter = chr(code)
    if letter in _LETTERS:
        return _LETTERS[letter]
    if code in _DROPPED or any(first <= code <= last for first, last in _OPTIONAL_MARKS):
        return ""
    # Soft hyphens, zero-width characters, directions and variation selectors.
    if unicodedata.category(letter) == "Cf" or 0xFE00 <= code <= 0xFE0F:
        return ""
    digit = unicodedata.decimal(letter, None)
    return letter if digit is None else str(digit)


_folds = _Folds()


def fold(text: str) -> str:
    """The text with each letter in its one form; case is kept."""
    if text.isascii():
        return text
    if _NON_JOINER in text:
        # Persian writes it where others write a hyphen.
        text = _PERSIAN_JOINT.sub("-", text)
    apart = unicodedata.normalize("NFKD", text)
    apart = _CYRILLIC_MARKED.sub(_kept_mark, apart)
    apart = apart.translate(_folds)
    if _DEVANAGARI.search(apart):
        apart = _NASAL_BEFORE_CONSONANT.sub(_ANUSVARA, apart)
    return unicodedata.normalize("NFC", apart)


_DEVANAGARI = re.compile("[\u0900-\u097f]")


def _kept_mark(match: re.Match[str]) -> str:
    """A Cyrillic letter with its mark if both are a letter of their own; else without."""
    marked = match.group()
    whole = unicodedata.normalize("NFC", marked[:2])
    return whole if whole in _CYRILLIC_LETTERS else marked[0]
