"""What a query looks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.search.analysis import MONTHS, capitalised_stop_words
from service.search.forms import Run, analysed_run, runs, written_out
from service.search.languages import (
    ENGLISH,
    OTHERS,
    STOP_WORDS,
    function_words,
    languages_of,
)
from service.search.stemming import stem, stem_in, stems_anywhere, without_prefixes
from service.search.words import (
    HANGUL,
    VERBATIM,
    folded,
    is_unspaced,
    split_folded,
    term_of,
)

_ASKS_WHEN = re.compile(
    r"\bwhen\b|\b(?:what|which)\s(?:\w+\s)?(?:date|day|week|month|year|time)\b|\bhow\slong\b",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_YEAR = re.compile(r"(?:19|20)\d\d")
_SMALL = re.compile(r"\d\d?")
_DAY = re.compile(r"[012]?\d|3[01]")
_COUNTED = re.compile(r"(\d+)(?:st|nd|rd|th|am|pm|s)")
_PLAIN_PARTS = re.compile(r"(?:[a-z]{3,}|\d+)(?:-(?:[a-z]{3,}|\d+))+")
_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_YEAR_WORDS = """
    in since of from by until till before after during about around year years summer autumn
    fall winter spring christmas im jahr seit en de depuis desde nel dal em w roku
"""
_BEFORE_YEARS = frozenset(_YEAR_WORDS.split())
_MOST_TERMS = 256
_INFLECTED = 0.8
_PAIR = 0.4

_HAN_FUNCTION = frozenset(
    "的了是我你他她它在有吗呢吧什么这那不和们个就也都很会要到说去没着过把被给从哪谁几多怎样"
)
_HIRAGANA = re.compile("[\u3040-\u309f]")
_HANGUL_RUN = re.compile(f"[{HANGUL}]+")
_AFTER_NOUNS = """
    에서 에게 한테 으로 까지 부터 처럼 보다 이나 에는 에도 에서는 이라 이란 하고 은 는 이 가
    을 를 에 의 도 로 와 과 만 께 나 랑
"""
_PARTICLES = tuple(sorted(_AFTER_NOUNS.split(), key=len, reverse=True))
_WEAK_PAIRS = """
    습니 니다 니까 입니 합니 했습 었습 았습 어요 아요 해요 했어 었어 았어 이에 에요 예요
    나요 인가 가요 는가 있는 있어 하는 하고 했다 였다 었다 았다 한다 는다 이다 에서 으로
    까지 부터 무엇 엇인 언제 어디 누가 누구 어떤 어떻 떻게 얼마 마나 우리 나의 저는 나는
"""
_ENDINGS = frozenset(_WEAK_PAIRS.split())


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A word of a query, or what stands for one such as "A-17/b"."""

    text: str
    """Folded."""

    forms: tuple[str, ...]
    """Words by which it is found, each as good as another."""

    parts: tuple[str, ...] = ()
    """Of a compound: the words that together count as it where it is not there itself."""

    fallback: tuple[str, ...] = ()
    """Words by which it is found where nothing has one of `forms`."""

    accepted: tuple[str, ...] = ()
    """Words that meet `insisted` as well as `forms` do."""

    insisted: bool = False
    """A number or code: what does not have it is not meant."""

    dated: bool = False
    """A number that is a part of a date: an item may tell of that day in other words."""

    doubt: float = 1.0
    """How much it counts against an item where nothing at all has it, 0 to 1: less where words
    are inflected more than stems tell, and where cutting into pairs makes what is no word."""


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """What ranking needs of a query's text."""

    terms: tuple[QueryTerm, ...]
    """Distinct ones, in the order of their first occurrence."""

    words: tuple[str, ...]
    """Its distinct folded words that may be a part of a speaker's name."""

    asks_when: bool
    """The query asks for a time."""

    asks: bool
    """The query is a question."""

    english: bool
    """It is in English, as far as its function words tell."""


def parse_query(text: str) -> ParsedQuery:
    """What a query looks for."""
    said = folded(text)
    words = split_folded(said)
    languages = languages_of(text, [word for word in words if word.isascii()])
    names = [VERBATIM + name for name in capitalised_stop_words(said)]
    spelled = written_out(text)
    variants = {
        fold_key: out for word, out in spelled.items() for fold_key in split_folded(folded(word))
    }
    terms = list(_terms(said, languages, variants))
    known = function_words(languages)
    kept = [term for term in terms if not _is_function_word(term, known)]
    kept += [QueryTerm(name[1:], (name,)) for name in names]
    if not kept:
        kept = [QueryTerm(word, (VERBATIM + word,), fallback=(word,)) for word in words]
    distinct = {term.forms: term for term in reversed(kept)}
    ordered = sorted(distinct.values(), key=kept.index)[:_MOST_TERMS]
    named = [word for word in words if term_of(word)] + [name[1:] for name in names]
    return ParsedQuery(
        terms=tuple(ordered),
        words=tuple(dict.fromkeys(named)),
        asks_when=_ASKS_WHEN.search(text) is not None,
        asks=text.rstrip().endswith("?"),
        english=languages == (ENGLISH,),
    )


def _terms(said: str, languages: Sequence[str], variants: dict[str, str]) -> Iterator[QueryTerm]:
    said_runs = list(runs(said))
    dated = _dated(said_runs) if _DIGIT.search(said) else set[int]()
    for number, run in enumerate(said_runs):
        words = split_folded(run)
        if not words:
            continue
        analysed = analysed_run(run)
        if len(words) == 1 and not analysed.wholes:
            word = words[0]
            yield QueryTerm(
                text=word,
                forms=_forms(word, languages, variants),
                fallback=_fallback(word, languages),
                insisted=_DIGIT.search(word) is not None,
                dated=number in dated,
                doubt=1.0 if languages == (ENGLISH,) or _DIGIT.search(word) else _INFLECTED,
            )
        elif analysed.wholes:
            yield _compound(run, analysed, words)
        elif any(map(is_unspaced, words)):
            yield from _pairs(run, words)
        else:
            for word in words:
                yield QueryTerm(word, _forms(word, languages, variants), insisted=False)


def _forms(word: str, languages: Sequence[str], variants: dict[str, str]) -> tuple[str, ...]:
    forms = [word]
    if word in variants:
        forms.append(variants[word])
    if not word.isascii():
        forms.append(without_prefixes(word))
    elif word.isdecimal():
        if len(word) <= 2 and int(word) < len(_NUMBERS):
            forms.append(_NUMBERS[int(word)])
    elif languages != (ENGLISH,):
        forms += [VERBATIM + stem_in(language, word) for language in languages]
    return tuple(dict.fromkeys(forms))


def _fallback(word: str, languages: Sequence[str]) -> tuple[str, ...]:
    """The stems the word has in any language, where the query does not tell its own."""
    if languages or not word.isascii() or not word.isalpha():
        return ()
    return tuple(VERBATIM + other for other in sorted(stems_anywhere(word) - {stem(word)}))


def _compound(run: str, analysed: Run, words: Sequence[str]) -> QueryTerm:
    whole = run.casefold()
    pieces = words if len(words) > 1 else [form for form in analysed.others if form not in words]
    pieces = [piece for piece in pieces if term_of(piece)]
    insisted = _DIGIT.search(run) is not None or "@" in run or "_" in run
    accepted: tuple[str, ...] = ()
    counted = _COUNTED.fullmatch(whole)
    if counted is not None:
        accepted = (counted.group(1),)
    elif _PLAIN_PARTS.fullmatch(run) and sum(map(str.isdecimal, words)) == 1:
        # "mid-2023", "5-year-old": ordinary words around a number.
        accepted = tuple(word for word in words if _YEAR.fullmatch(word) or _SMALL.fullmatch(word))
    return QueryTerm(whole, analysed.wholes, tuple(pieces), (), accepted, insisted)


def _pairs(run: str, words: Sequence[str]) -> Iterator[QueryTerm]:
    """The terms of a run in a script that is cut into pairs, less those of function words."""
    hangul = _HANGUL_RUN.fullmatch(run)
    if hangul is not None:
        words = _without_particle(run)
    telling = [word for word in words if not _says_little(word)]
    for word in telling or words:
        yield QueryTerm(word, (word,), doubt=_PAIR)


def _says_little(pair: str) -> bool:
    if pair in _ENDINGS:
        return True
    return all(letter in _HAN_FUNCTION or _HIRAGANA.match(letter) for letter in pair) or any(
        letter in _HAN_FUNCTION for letter in pair
    )


def _without_particle(run: str) -> Sequence[str]:
    """The pairs of a Korean word less the particle at its end; one character stays single."""
    for particle in _PARTICLES:
        if run.endswith(particle) and len(run) - len(particle) >= 2:
            run = run[: -len(particle)]
            break
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _dated(said_runs: Sequence[str]) -> set[int]:
    """Which runs are the day or year of a date in words."""
    dated = set()
    for number, run in enumerate(said_runs):
        before = said_runs[number - 1].casefold() if number else ""
        if _YEAR.fullmatch(run) and (before in _BEFORE_YEARS or before in MONTHS):
            dated.add(number)
        elif _YEAR.fullmatch(run) or _DAY.fullmatch(run) or _COUNTED.fullmatch(run.casefold()):
            beside = said_runs[max(0, number - 2) : number + 3]
            if any(word.casefold() in MONTHS for word in beside):
                dated.add(number)
    return dated


def _is_function_word(term: QueryTerm, known: frozenset[str]) -> bool:
    if term.parts:
        return False
    word = term.text
    if word.isascii():
        return word in STOP_WORDS or word in known
    return word in OTHERS
