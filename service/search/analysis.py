"""What the index keeps of an item's text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from service.search.forms import further_forms, written_out
from service.search.languages import (
    ENGLISH,
    STOP_WORDS,
    function_words,
    languages_of,
)
from service.search.stemming import stem, stems_of, without_prefixes
from service.search.words import (
    VERBATIM,
    folded,
    paired_characters,
    split_folded,
    split_words,
)

_EPOCH = date(1970, 1, 1).toordinal()
_MINUTE = 60_000_000
_DAY = 1440 * _MINUTE
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_YEARS = map(str, range(1900, 2100))
_TIMES = frozenset(
    ("yesterday", "today", "tonight", "tomorrow", "recently", "ago", *_WEEKDAYS, *MONTHS, *_YEARS)
) - {"may"}
_WHICH = frozenset(("last", "next", "this", "past", "previous", "coming", "few"))
_SPANS = frozenset(
    (
        *("night", "morning", "evening", "weekend", "spring", "summer", "autumn", "fall", "winter"),
        *("day", "days", "week", "weeks", "month", "months", "year", "years"),
    )
)
_BEFORE_MAY = frozenset(("in", "since", "of", "last", "next", "this"))
_HINTS = _TIMES | _WHICH | {"may"}

_CAPITAL = re.compile(r"[A-Z](?<=[\w,;] .)[A-Za-z]*\b")

_COMPOUNDING = frozenset(
    ("german", "dutch", "swedish", "danish", "norwegian", "finnish", "hungarian")
)
_LEAST_COMPOUND, _MOST_COMPOUND = 10, 40
_LEAST_PART, _LEAST_OTHER = 4, 3
_SHORT = 4
_LEADING_NAME = re.compile(r"\s*([^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*){0,2}): +\S")


@dataclass(frozen=True, slots=True)
class Features:
    """What the index keeps of one item's text."""

    counted: Sequence[str]
    """The folded words of the text, its heading, speaker and date, as often as they occur."""

    words: int
    """How many of `counted` are the text's alone."""

    asks: bool
    """The text is a question."""

    tells_time: bool
    """The text has a time expression ("yesterday", "in May", "2019")."""

    speaker: tuple[str, ...]
    """The folded words of the speaker's name; empty if the speaker is unknown."""

    further: Sequence[str] = ()
    """More words that the item is found by (`forms`); they make it no longer."""


def analyse(
    text: str,
    heading: str = "",
    speaker: str = "",
    instant: int | None = None,
    offset: int | None = None,
) -> Features:
    """The features of an item.

    Indexed as if it read "8 May 2023 Speaker: heading, text": a turn of a
    conversation, or a chunk below a heading, rarely repeats who speaks, when, and what
    about; a question names just these.

    Args:
        text: what the item says.
        heading: what stands above it in its document.
        speaker: who says it; if empty, a name that leads the text ("Ann: …").
        instant: when, in microseconds since 1970 (UTC).
        offset: minutes east of UTC of where it was said; None if unknown.
    """
    said = folded(text)
    words = split_folded(said)
    name = split_words(speaker or leading_name(text))
    added = paired_characters(text)
    further = [*further_forms(said), *_names(said, words), *written_out(text).values()]
    languages = languages_of(text, words)
    if languages != (ENGLISH,) or not text.isascii():
        further += _other_languages(words, languages)
    if heading:
        above = folded(heading)
        added += (*split_folded(above), *paired_characters(heading))
        further += further_forms(above)
    if speaker and not leads(speaker, text):
        added += name
    further += [VERBATIM + word for word in name if word in STOP_WORDS]
    if instant is not None:
        in_words, in_iso = _dates(*_day(instant, offset))
        added += in_words
        further += in_iso
    return Features(
        counted=words + added if added else words,
        further=further,
        words=len(words),
        asks=text.rstrip().endswith("?"),
        tells_time=_tells_time(words),
        speaker=_distinct(name),
    )


def speaker_words(name: str) -> tuple[str, ...]:
    """The words of a speaker's name as `Features.speaker` has them."""
    return _distinct(split_words(name))


def _distinct(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def embedding_text(text: str, heading: str = "", speaker: str = "") -> str:
    """The text that is embedded: heading and text, without date and speaker.

    In a vector, names and dates blur what is said. Whether a query names an item's
    speaker is a part of the rank score of its own, and `text_to_embed` removes the
    speakers' names from a query before it is embedded.
    """
    said = text.lstrip()[len(speaker) + 1 :].lstrip() if leads(speaker, text) else text
    return f"{heading}\n{said}" if heading else said


def leading_name(text: str) -> str:
    """The short name that begins a text such as "Ann: …"; "" if none does."""
    match = _LEADING_NAME.match(text) if ": " in text else None
    if match is None or any(word[0].islower() for word in match.group(1).split()):
        return ""
    return match.group(1)


def leads(name: str, text: str) -> bool:
    """Whether the text itself begins with the name and a colon."""
    return bool(name) and text.lstrip().startswith(f"{name}:")


def _names(said: str, words: Sequence[str]) -> list[str]:
    """The stop words that are names, since they have a capital inside a sentence ("Will");
    and all the words of a text that has nothing but stop words."""
    if STOP_WORDS.issuperset(words):
        return [VERBATIM + word for word in words]
    return [VERBATIM + name for name in capitalised_stop_words(said)]


def capitalised_stop_words(said: str) -> list[str]:
    """The stop words with a capital inside a sentence, in small letters."""
    if said.islower():
        return []
    names = (name.lower() for name in _CAPITAL.findall(said) if name != "I")
    return [name for name in names if name in STOP_WORDS]


def _other_languages(words: Sequence[str], languages: Sequence[str]) -> Iterator[str]:
    """What words of other languages than English are found by: their stems, the parts of
    compounds, and what is left without a prefix."""
    known = function_words(languages)
    ascii_only = "".join(words).isascii()
    latin = words
    if known or not ascii_only:
        latin = [word for word in words if word.isascii() and word not in known]
    if languages != (ENGLISH,):
        yield from _other_latin(latin, languages)
    for word in () if ascii_only else words:
        if not word.isascii():
            bare = without_prefixes(word)
            if bare != word:
                yield bare


def _other_latin(words: Sequence[str], languages: Sequence[str]) -> Iterator[str]:
    # English stop words and stems may be words of their own here ("ours", "île").
    stopped = STOP_WORDS.intersection(words)
    for word in [word for word in words if len(word) <= _SHORT or word in stopped]:
        if word in stopped or stem(word) != word:
            yield VERBATIM + word
    for language in languages:
        for word, stemmed in zip(words, stems_of(language, words), strict=True):
            if stemmed != stem(word):
                yield VERBATIM + stemmed
    if not languages or not _COMPOUNDING.isdisjoint(languages):
        for word in [word for word in words if len(word) >= _LEAST_COMPOUND]:
            yield from _compound_parts(word)


def _compound_parts(word: str) -> Iterator[str]:
    """The ends and beginnings of a long word that may be words of their own in a compound:
    without a dictionary, all that leave enough on the other side."""
    if len(word) <= _MOST_COMPOUND and word.isalpha():
        for cut in range(_LEAST_OTHER, len(word) - _LEAST_PART + 1):
            yield word[cut:]
        for cut in range(_LEAST_PART, len(word) - _LEAST_OTHER + 1):
            yield word[:cut]


def _day(instant: int, offset: int | None) -> tuple[int, int]:
    """The day since 1970 where it was said; and the one after or before it (1, -1) that it
    was in other parts of the world, or 0 where the offset is known."""
    day, within = divmod(instant + (offset or 0) * _MINUTE, _DAY)
    if offset is not None:
        return day, 0
    return day, -1 if within < _DAY // 2 else 1


@lru_cache(maxsize=1024)
def _dates(day: int, other: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The date in words, and in ISO form: the day, its month, and another day if it may be."""
    that = _date(day)
    iso = that.isoformat()
    in_iso = [iso, iso[:7]]
    if other:
        in_iso.append(_date(day + other).isoformat())
    return (str(that.day), MONTHS[that.month - 1], str(that.year)), tuple(in_iso)


def _date(day: int) -> date:
    return date.fromordinal(min(max(_EPOCH + day, 1), date.max.toordinal()))


def _tells_time(words: Sequence[str]) -> bool:
    hints = _HINTS.intersection(words)
    if not _TIMES.isdisjoint(hints):
        return True
    for hint in hints:
        for before, after in _neighbours(hint, words):
            if hint != "may":
                tells = after in _SPANS
            else:
                tells = before in _BEFORE_MAY or before.isdecimal() or after.isdecimal()
            if tells:
                return True
    return False


def _neighbours(word: str, words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What stands before and after each occurrence of a word; "" at the ends."""
    place = -1
    with suppress(ValueError):
        while True:
            place = words.index(word, place + 1)
            yield words[place - 1] if place else "", "".join(words[place + 1 : place + 2])
