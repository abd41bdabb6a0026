"""What the index keeps of an item's text, and what ranking needs of a query's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise

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

_ASKS_WHEN = re.compile(
    r"\bwhen\b|\b(?:what|which)\s(?:\w+\s)?(?:date|day|week|month|year|time)\b|\bhow\slong\b",
    re.IGNORECASE,
)
_LEADING_NAME = re.compile(r"\s*([^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*){0,2}): +\S")


@dataclass(frozen=True, slots=True)
class Features:
    """What the index keeps of one item's text."""

    terms: Mapping[str, int]
    """How often each term occurs in the text, its heading, speaker and date."""

    words: int
    """All words of the text alone, stop words too."""

    asks: bool
    """The text is a question."""

    tells_time: bool
    """The text has a time expression ("yesterday", "in May", "2019")."""

    speaker: tuple[str, ...]
    """The folded words of the speaker's name; empty if nobody is known to speak."""


@dataclass(frozen=True, slots=True)
class Question:
    """What ranking needs of a query's text."""

    terms: tuple[str, ...]
    """Distinct terms, in the order of their first occurrence."""

    names: tuple[str, ...]
    """Distinct folded words, stop words left out: what speakers' names are compared with."""

    asks_when: bool
    """The query asks for a time."""


def analyse(
    text: str, heading: str = "", speaker: str = "", instant: int | None = None
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
    """
    words = split_words(text)
    who = split_words(speaker or leading_name(text))
    beside = [*split_words(heading), *paired_characters(heading), *paired_characters(text)]
    if speaker and not leads(speaker, text):
        beside += who
    if instant is not None:
        day = _EPOCH + timedelta(microseconds=instant)
        beside += (str(day.day), _MONTHS[day.month - 1], str(day.year))
    terms = Counter(map(term_of, chain(words, beside)))
    terms.pop("", None)
    return Features(
        terms=terms,
        words=len(words),
        asks=text.rstrip().endswith("?"),
        tells_time=_tells_time(words),
        speaker=tuple(dict.fromkeys(who)),
    )


def embedding_text(text: str, heading: str = "", speaker: str = "") -> str:
    """The text that is embedded: heading and text, without date and speaker.

    In a vector, names and dates blur what is said. Whether the one a query names
    is the one who speaks is ranked by itself, and `text_to_embed` takes the speakers'
    names from a query before that is embedded.
    """
    said = text.lstrip()[len(speaker) + 1 :].lstrip() if leads(speaker, text) else text
    return f"{heading}\n{said}" if heading else said


def leading_name(text: str) -> str:
    """The short name that begins a text such as "Ann: …"; "" if none does."""
    match = _LEADING_NAME.match(text)
    if match is None or any(word[0].islower() for word in match.group(1).split()):
        return ""
    return match.group(1)


def leads(name: str, text: str) -> bool:
    """Whether the text itself begins with the name and a colon."""
    return bool(name) and text.lstrip().startswith(f"{name}:")


def analyse_query(text: str) -> Question:
    """What a query looks for."""
    words = dict.fromkeys(split_words(text))
    terms = [(word, term_of(word)) for word in words]
    return Question(
        terms=tuple(dict.fromkeys(term for _, term in terms if term)),
        names=tuple(word for word, term in terms if term),
        asks_when=_ASKS_WHEN.search(text) is not None,
    )


def _tells_time(words: Sequence[str]) -> bool:
    if not _TIMES.isdisjoint(words):
        return True
    if "may" in words:
        for first, second in pairwise(words):
            if second == "may" and (first in _BEFORE_MAY or first.isdecimal()):
                return True
            if first == "may" and second.isdecimal():
                return True
    if _WHICH.isdisjoint(words) or _SPANS.isdisjoint(words):
        return False
    followers = [second for first, second in pairwise(words) if first in _WHICH]
    return not _SPANS.isdisjoint(followers)
