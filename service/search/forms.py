"""Further forms that a text's words are found by, beside the words themselves.

A version, code, date or address is a term as a whole ("2.1", "a-17/b"), and so are two
neighbouring parts of one ("17/b"): the parts alone would be found in any order. A name in
camelCase or with digits is found by its parts, a hyphenated word joined ("plugin"), a
number with the word before it ("err4032" for "ERR 4032"). ä, ö, ü, ø and å are found
written out (ae, oe, ue, aa) as well as by their bare letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

from service.search.words import word_pattern

LONGEST_WHOLE = 128
"""Characters of a run of joined parts that is still a term as a whole."""

_MOST_PARTS = 16
_MOST_PIECES = 4  # of one part; more are the noise of hexadecimal digits
_LONG_HEXADECIMAL = 12
_LONGEST_REMEMBERED = 64
_ABBREVIATIONS = (7, 8)  # of hexadecimal ids, as version control shows them
_LEAST_DIGITS = 7  # of a number whose hyphens may be left out, such as a telephone number's

_JOINTS = r"[.\-/:_@#,]|_{2,}"
_IN_WORD = r"(?<=\w.)(?=\w)"
_APOSTROPHE = rf"'{_IN_WORD}(?!(?:s|m|d|t|re|ve|ll)\b)"
_MORE_FORMS = re.compile(
    rf"[.\-/:@#,_]{_IN_WORD}|{_APOSTROPHE}"
    r"|[A-Z](?:(?<=[^\WA-Z\d_].)|(?<=[A-Z].)(?=[a-z]))"
    r"|\d(?:(?<=[^\W\d_].)|(?=[^\W\d_]))"
)
"""What tells that a part of a text has more forms than its words: most have nothing of it."""

_IN_WORDS = (
    ("_", re.compile(f"_{_IN_WORD}").finditer),
    ("'", re.compile(_APOSTROPHE).finditer),
)
_ASCII = [chr(code) for code in range(128)]
# A letter for each kind of character, so that what stands next to each other can be looked for.
_JOINED = str.maketrans(
    {c: "w" if c.isalnum() or c == "_" else "." if c in ".-/:@#," else " " for c in _ASCII}
)
_JOINS = (("w.w", 1),)
_CASES = str.maketrans(
    {c: "0" if c.isdigit() else "A" if c.isupper() else "a" if c.islower() else " " for c in _ASCII}
)
_BORDERS = (("aA", 1), ("AAa", 1), ("0a", 0), ("0A", 0), ("a0", 1), ("A0", 1))
"""Where case changes and where digits begin or end; and which of its characters tells."""

_PIECES = re.compile(r"\d+|[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[^\WA-Z\d_])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_VERSION = re.compile(r"v(\d.*)", re.IGNORECASE)
_NUMBER = re.compile(r"\d\w*")
_WORD_BEFORE = re.compile(r"([^\W\d_]{2,})(?: ?[:#] ?| )$")
_LONGEST_BEFORE = 40
_DIGIT = re.compile(r"\d")
_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_UMLAUT = re.compile("[äöüøå]")
_WORD = re.compile(r"[^\W\d_]+")
_TIME_OF_DAY = re.compile(r"(?<=\d)T(?=\d\d:)")  # of RFC 3339: date and time are apart


class Run(NamedTuple):
    """Parts that are written together, such as "A-17/b", and what they are found by."""

    text: str
    wholes: tuple[str, ...]
    """The run as a whole, in its spellings."""
    others: tuple[str, ...]
    """Neighbouring parts together, and the pieces of parts."""


@cache
def _runs() -> re.Pattern[str]:
    word = word_pattern()
    return re.compile(rf"{word}(?:(?:{_JOINTS}|'){word})*")


@cache
def _ascii_runs() -> re.Pattern[str]:
    return re.compile(rf"[A-Za-z0-9]+(?:(?:{_JOINTS}|')[A-Za-z0-9]+)*")


def runs(text: str) -> Iterator[str]:
    """The runs of a text that `words.folded` has given, single words too."""
    pattern = _ascii_runs() if text.isascii() else _runs()
    return (match.group() for match in pattern.finditer(text))


def further_forms(text: str) -> list[str]:
    """What a text is found by in addition to its words.

    Args:
        text: From `words.folded`.
    """
    forms: list[str] = []
    digits = _has_digit(text)
    if digits and "T" in text:
        text = _TIME_OF_DAY.sub(" ", text)
    for part in _parts_with_more(text):
        forms += _remembered_forms(part) if len(part) <= _LONGEST_REMEMBERED else _forms_of(part)
    if digits:
        forms += _words_with_numbers(text)
    return forms


def _parts_with_more(text: str) -> Iterator[str]:
    """The parts between spaces that may have more forms than their words."""
    spaced = " ".join(text.split())
    end = -1
    for place in _places_of_more(spaced):
        if place > end:
            end = spaced.find(" ", place)
            if end < 0:
                end = len(spaced)
            yield spaced[spaced.rfind(" ", 0, place) + 1 : end]


def _places_of_more(text: str) -> Sequence[int]:
    """Where `_MORE_FORMS` matches, in order."""
    if not text.isascii():
        return [match.start() for match in _MORE_FORMS.finditer(text)]
    # The same in a fraction of the time: most texts have little of it, and a search for
    # characters that stand next to each other is done in C.
    places = [match.start() for sign, hint in _IN_WORDS if sign in text for match in hint(text)]
    for kinds, pairs in ((text.translate(_JOINED), _JOINS), (text.translate(_CASES), _BORDERS)):
        for pair, before in pairs:
            place = kinds.find(pair)
            while place >= 0:
                places.append(place + before)
                place = kinds.find(pair, place + 1)
    places.sort()
    return places


def _forms_of(part: str) -> tuple[str, ...]:
    forms: list[str] = []
    for run in runs(part):
        whole = run.casefold()
        _, wholes, others = analysed_run(run)
        forms += [form for form in wholes if form != whole or not run.isalnum()]
        forms += others
    return tuple(forms)


_remembered_forms = lru_cache(maxsize=16_384)(_forms_of)
"""Up to 5 MB: a text says the same names again and again."""


def _has_digit(text: str) -> bool:
    """Whether a folded text, whose digits are ASCII, has one."""
    return any(digit in text for digit in "0123456789")


def _words_with_numbers(text: str) -> Iterator[str]:
    """Each number with the word before it: "err4032" of "ERR 4032"."""
    for number in _NUMBER.finditer(text):
        start = number.start()
        before = _WORD_BEFORE.search(text[max(0, start - _LONGEST_BEFORE) : start])
        if before is not None:
            yield f"{before.group(1)}{number.group()}".casefold()


def analysed_run(run: str) -> Run:
    """The forms of one run; none of a plain word."""
    if run.isalpha() and run[1:].islower():
        return Run(run, (), ())
    parts = [part for part in re.split(f"{_JOINTS}|'", run) if part.strip("_")]
    if len(parts) > _MOST_PARTS:
        parts = parts[:_MOST_PARTS]
    wholes: list[str] = []
    others: list[str] = []
    if len(parts) > 1:
        _join(run, parts, wholes, others)
    for part in parts:
        pieces = _pieces(part)
        if len(pieces) > 1:
            others += [piece for piece in pieces if len(piece) > 1 or piece.isdigit()]
            others += [one + other for one, other in pairwise(pieces) if len(pieces) > 2]
            if len(parts) == 1:
                wholes.append(part.casefold())
        elif len(part) >= _LONG_HEXADECIMAL and _DIGIT.search(part) and part.isalnum():
            others += [part[:length].casefold() for length in _ABBREVIATIONS]
    return Run(run, tuple(dict.fromkeys(wholes)), tuple(dict.fromkeys(others)))


def _join(run: str, parts: list[str], wholes: list[str], others: list[str]) -> None:
    """The forms of parts with the signs between them, and without."""
    whole = run.casefold()
    joints = [""] * (len(parts) - 1)
    place = 0
    for number, part in enumerate(parts[:-1]):
        end = run.index(part, place) + len(part)
        place = run.index(parts[number + 1], end)
        joints[number] = run[end:place]
    exact = _DIGIT.search(run) is not None or "@" in run
    if exact and len(run) <= LONGEST_WHOLE:
        wholes.append(whole)
    if _THOUSANDS.fullmatch(run):
        wholes.append(run.replace(",", ""))
    version = _VERSION.fullmatch(whole)
    if version is not None:
        wholes.append(version.group(1))
    if set(joints) == {"-"} and whole.replace("-", "").isdecimal():
        digits = whole.replace("-", "")
        if len(digits) >= _LEAST_DIGITS:
            wholes.append(digits)
    loose = [
        set(joint) <= set("-_'") and not (one[-1].isdigit() and other[0].isdigit())
        for joint, (one, other) in zip(joints, pairwise(parts), strict=True)
    ]
    if all(loose) and len(run) <= LONGEST_WHOLE:
        wholes.append("".join(parts).casefold())
    if len(parts) == 2:
        return
    for joint, free, (one, other) in zip(joints, loose, pairwise(parts), strict=True):
        if _DIGIT.search(one + other) or joint == "@":
            others.append(f"{one}{joint}{other}".casefold())
        if free:
            others.append(f"{one}{other}".casefold())


def _pieces(part: str) -> list[str]:
    """A part cut where its case changes, and between letters and digits; folded."""
    pieces = [
        piece.casefold()
        for run in _PIECES.findall(part)
        for piece in (_CAMEL.split(run) if not run.islower() else (run,))
    ]
    if len(pieces) > _MOST_PIECES and _DIGIT.search(part):
        return [part]
    return pieces[:_MOST_PARTS]


def written_out(text: str) -> dict[str, str]:
    """The words of an original text with ä, ö, ü, ø or å, and how they are written out."""
    if text.isascii():
        return {}
    lower = unicodedata.normalize("NFC", text).casefold()
    if not _UMLAUT.search(lower):
        return {}
    return {
        word: word.translate(_WRITTEN_OUT) for word in _WORD.findall(lower) if _UMLAUT.search(word)
    }
