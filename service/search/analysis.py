"""Text to terms and features: what the index knows of an item, and of a query.

Words are runs of letters and digits, compared without case, accents and compatible
forms (Unicode case folding and NFKD). English words lose their ending (Porter's
stemmer; words in other alphabets pass through it unchanged) and the commonest of
them are left out. Scripts that write no spaces between words are cut into overlapping
pairs of characters.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import Stemmer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_STOP_WORDS = """
    a about after all also am an and any are as at be because been before being but by can could
    did do does doing for from had has have having he her here hers him his how i if in into is it
    its just like may me might more most my no not of off on once only or other our ours out over
    own s same shall she should so some such t than that the their theirs them then there these
    they this those through to too under until up us very was we were what when where which while
    who whom whose why will with would you your yours
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that hold a sentence together and tell nothing about what it is about."""

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_MARKS = "".join(chr(i) for i in range(0x300, 0xFFFF) if unicodedata.category(chr(i))[0] == "M")
_LETTERS = rf"[^\W_{_UNSPACED}]+(?:[{_MARKS}]+[^\W_{_UNSPACED}]*)*"
_WORD = re.compile(rf"[{_UNSPACED}]+|{_LETTERS}(?:['’]{_LETTERS})*")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_SUFFIX = re.compile(r"['’](?:s|m|d|t|re|ve|ll)$")
_ACCENTS = re.compile("[\u0300-\u036f]")

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_TIME = re.compile(
    r"""\b(?:
      yesterday | today | tonight | tomorrow | recently | ago
    | (?:last|next|this|past|previous|coming) \s (?:few\s)?
      (?:night|morning|evening|days?|weeks?|weekend|months?|years?
        |spring|summer|autumn|fall|winter
        |(?:mon|tues|wednes|thurs|fri|satur|sun)day)
    | (?:mon|tues|wednes|thurs|fri|satur|sun)day
    | january | february | march | april | june | july | august | september | october
    | november | december | (?:in|since|on|of|last|next|this)\smay | may\s\d+ | \d+\smay
    | (?:19|20)\d\d | \d{1,2}[:/]\d\d
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_ASKS_WHEN = re.compile(
    r"\bwhen\b|\b(?:what|which)\s(?:\w+\s)?(?:date|day|week|month|year|time)\b|\bhow\slong\b",
    re.IGNORECASE,
)
_LEADING_NAME = re.compile(r"\s*([^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*){0,2}): +\S")


@dataclass(frozen=True, slots=True)
class Features:
    """What the index keeps of one item's text."""

    terms: Mapping[str, int]
    """Stemmed words, with how often each occurs."""

    words: int
    """All words of the text alone, stop words too."""

    asks: bool
    """The text is a question."""

    tells_time: bool
    """The text has a time expression ("yesterday", "in June", "2019")."""

    speaker: tuple[str, ...]
    """The folded words of the speaker's name; empty if nobody is known to speak."""


@dataclass(frozen=True, slots=True)
class Question:
    """What ranking needs to know of a query's text."""

    terms: tuple[str, ...]
    """Distinct stemmed words, in the order of their first occurrence."""

    names: tuple[str, ...]
    """Distinct folded words, unstemmed: what a speaker's name is compared with."""

    asks_when: bool
    """The query asks for a time."""


def words(text: str) -> Iterator[str]:
    """The folded words of a text, in order."""
    for match in _WORD.finditer(_fold(text)):
        word = match.group()
        if _IS_UNSPACED.match(word) and len(word) > 1:
            for i in range(len(word) - 1):
                yield word[i : i + 2]
        else:
            yield _SUFFIX.sub("", word)


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    # Compatible forms to one form, accents off, and what is left together again.
    apart = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart))


def index_text(text: str, heading: str = "", speaker: str = "", instant: int | None = None) -> str:
    """The text whose words are indexed: "[8 May 2023] Speaker: heading, text".

    A turn of a conversation, or a chunk below a heading, rarely repeats who
    speaks, when, and what about; a question names just these.

    Args:
        text: what the item says.
        heading: what stands above it in its document.
        speaker: who says it.
        instant: when, in microseconds since 1970 (UTC).
    """
    parts = []
    if instant is not None:
        day = _EPOCH + timedelta(microseconds=instant)
        parts.append(f"[{day.day} {_MONTHS[day.month - 1]} {day.year}]")
    if speaker:
        parts.append(f"{speaker}:")
    if heading:
        parts.append(f"{heading}\n")
    parts.append(text)
    return " ".join(parts)


def embedding_text(text: str, heading: str = "", speaker: str = "") -> str:
    """The text that is embedded: heading and text, without date and speaker.

    In a vector names and dates blur what is said. Whether the one named
    is the one who speaks is ranked by itself, and `without_names` takes the
    speakers' names from a query before that is embedded.
    """
    bare = text
    name = speaker or leading_name(text)
    if name and text.lstrip().startswith(f"{name}:"):
        bare = text.lstrip()[len(name) + 1 :].lstrip()
    return f"{heading}\n{bare}" if heading else bare


def leading_name(text: str) -> str:
    """The short name that begins a text such as "Ann: …"; "" if none does."""
    match = _LEADING_NAME.match(text)
    return match.group(1) if match else ""


def analyse(
    text: str, heading: str = "", speaker: str = "", instant: int | None = None
) -> Features:
    """The terms of `index_text(...)`, and the features of the text alone.

    Without a `speaker`, a leading name ("Ann: …") is taken for one.
    """
    known = speaker or leading_name(text)
    said = text.lstrip().startswith(f"{known}:")
    full = index_text(text, heading, "" if said else known, instant)
    return Features(
        terms=Counter(_terms(full)),
        words=sum(1 for _ in words(text)),
        asks=text.rstrip().endswith("?"),
        tells_time=_TIME.search(text) is not None,
        speaker=tuple(dict.fromkeys(words(known))),
    )


def analyse_query(text: str) -> Question:
    """What a query looks for."""
    return Question(
        terms=tuple(dict.fromkeys(_terms(text))),
        names=tuple(dict.fromkeys(w for w in words(text) if w not in STOP_WORDS)),
        asks_when=_ASKS_WHEN.search(text) is not None,
    )


def without_words(text: str, unwanted: Callable[[str], bool]) -> str:
    """The text less the words that `unwanted` holds of, told in their folded form."""

    def kept(match: re.Match[str]) -> str:
        return "" if any(map(unwanted, words(match.group()))) else match.group()

    return " ".join(_WORD.sub(kept, text).split())


def _terms(text: str) -> Iterator[str]:
    return (_stem(word) for word in words(text) if word not in STOP_WORDS)


_stemmers = threading.local()


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    # A stemmer object may not be used by two threads at once.
    stemmer: Stemmer.Stemmer | None = getattr(_stemmers, "porter", None)
    if stemmer is None:
        stemmer = _stemmers.porter = Stemmer.Stemmer("porter", 0)
    return str(stemmer.stemWord(word))
