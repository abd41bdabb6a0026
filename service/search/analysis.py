"""What the index keeps of an item's text, and what ranking needs of a query's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.search.words import paired_characters, split_words, term_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_YEARS = map(str, range(1900, 2100))
_TIMES = frozenset(
    ("yesterday", "today", "tonight", "tomorrow", "recently", "ago", *_WEEKDAYS, *_MONTHS, *_YEARS)
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

_ASKS_WHEN = re.compile(
    r"\bwhen\b|\b(?:what|which)\s(?:\w+\s)?(?:date|day|week|month|year|time)\b|\bhow\slong\b",
    re.IGNORECASE,
)
_LEADING_NAME = re.compile(r"\s*([^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*){0,2}): +\S")


@dataclass(frozen=True, slots=True)
class Features:
    """What the index keeps of one item's text."""

    counted: Sequence[str]
    """The folded words of the text, its heading, speaker and date, as often as they occur."""

    words: int
    """How many of them are the text's alone."""

    asks: bool
    """The text is a question."""

    tells_time: bool
    """The text has a time expression ("yesterday", "in May", "2019")."""

    speaker: tuple[str, ...]
    """The folded words of the speaker's name; empty if the speaker is unknown."""


@dataclass(frozen=True, slots=True)
class Question:
    """What ranking needs of a query's text."""

    words: tuple[str, ...]
    """Distinct folded words that are terms, in the order of their first occurrence."""

    asks_when: bool
    """The query asks for a time."""


def analyse(
    text: str,
    heading: str = "",
    speaker: str = "",
    instant: int | None = None,
    offset: int | None = None,  # noqa: ARG001
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
        offset: minutes east of UTC of where it was said; None: unknown.
    """
    words = split_words(text)
    name = split_words(speaker or leading_name(text))
    added = [*split_words(heading), *paired_characters(heading), *paired_characters(text)]
    if speaker and not leads(speaker, text):
        added += name
    if instant is not None:
        day = _EPOCH + timedelta(microseconds=instant)
        added += (str(day.day), _MONTHS[day.month - 1], str(day.year))
    return Features(
        counted=words + added if added else words,
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


def analyse_query(text: str) -> Question:
    """What a query looks for."""
    return Question(
        words=tuple(filter(term_of, dict.fromkeys(split_words(text)))),
        asks_when=_ASKS_WHEN.search(text) is not None,
    )


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
