"""A query, prepared for ranking: its terms as hashes, and its vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from service.search.analysis_v1 import v1_parts
from service.search.entry import NO_TERM, TermHasher
from service.search.parsed_query import QueryTerm, parse_query
from service.search.scope import Scope, named_speakers
from service.search.speakers import Name
from service.search.words import split_words, without_words

Synonyms: TypeAlias = tuple[int, ...]
"""Hashes of terms of which one is as good as another."""


@dataclass(frozen=True, slots=True)
class HashedTerm:
    """A `parsed_query.QueryTerm` by the numbers of its synonyms in `HashedQuery.synonyms`."""

    text: str
    forms: int
    parts: tuple[int, ...] = ()
    fallback: int | None = None
    accepted: int | None = None
    """What meets `insisted`: `forms`, and what is accepted in their place; None: `forms`."""
    insisted: bool = False
    dated: bool = False
    doubt: float = 1.0


@dataclass(frozen=True, slots=True)
class HashedQuery:
    """What ranking compares items with."""

    text: str

    synonyms: tuple[Synonyms, ...]
    """All that is looked up in the index."""

    terms: tuple[HashedTerm, ...]

    names: Mapping[int, str]
    """Its words by their hashes as words of a speaker's name."""

    v1_synonyms: Callable[[], tuple[Synonyms, ...]] = tuple
    """Answers `synonyms` with what stands for them in entries of an older analysis; few
    searches meet any."""

    words: int = 0
    """How many it has, function words too."""

    asks_when: bool = False
    asks: bool = False
    english: bool = True
    vector: npt.NDArray[np.float32] | None = None
    """(dimension,) of unit length; None: search by words alone."""

    def near(self, vector: npt.ArrayLike) -> HashedQuery:
        """The query with a vector, which is brought to unit length.

        A vector of zeros says nothing and is left out.
        """
        raw = np.asarray(vector, np.float32)
        norm = float(np.linalg.norm(raw))
        return replace(self, vector=raw / np.float32(norm) if norm > 0 else None)


def hash_query(text: str, hasher: TermHasher) -> HashedQuery:
    """Analyse a query."""
    parsed = parse_query(text)
    synonyms: dict[Synonyms, int] = {}

    def number(words: Iterable[str]) -> int | None:
        hashes = sorted({hasher.terms[word] for word in words} - {NO_TERM})
        if not hashes:
            return None
        return synonyms.setdefault(tuple(hashes), len(synonyms))

    def hashed(term: QueryTerm) -> HashedTerm | None:
        forms = number(term.forms)
        if forms is None:
            return None
        parts = (number((part,)) for part in term.parts)
        return HashedTerm(
            text=term.text,
            forms=forms,
            parts=tuple(part for part in parts if part is not None),
            fallback=number(term.fallback),
            accepted=number((*term.forms, *term.accepted)) if term.accepted else None,
            insisted=term.insisted,
            dated=term.dated,
            doubt=term.doubt,
        )

    by_forms: dict[int, HashedTerm] = {}
    for term in map(hashed, parsed.terms):
        if term is not None:
            by_forms.setdefault(term.forms, term)
    looked_up, terms = tuple(synonyms), tuple(by_forms.values())
    return HashedQuery(
        text=text,
        synonyms=looked_up,
        terms=terms,
        names={hasher.name(word): word for word in parsed.words},
        v1_synonyms=cache(partial(_with_v1, text, looked_up, terms, hasher)),
        words=len(split_words(text)),
        asks_when=parsed.asks_when,
        asks=parsed.asks,
        english=parsed.english,
    )


def _with_v1(
    text: str, synonyms: Sequence[Synonyms], terms: Sequence[HashedTerm], hasher: TermHasher
) -> tuple[Synonyms, ...]:
    looked_up = list(synonyms)
    for part in v1_parts(text):
        old = [hasher.term(term) for term in part.terms]
        for one in terms:
            # Of a number or code no part may stand for the whole.
            if one.text in part.called and (len(old) == 1 or not one.insisted):
                looked_up[one.forms] = tuple(sorted({*looked_up[one.forms], *old}))
    return tuple(looked_up)


def text_to_embed(query: HashedQuery, scopes: Sequence[Scope]) -> str:
    """The text to embed where these scopes are searched; see `without_speakers`."""
    return without_speakers(query, named_speakers(scopes, query.names))


def without_speakers(query: HashedQuery, named: Iterable[Name]) -> str:
    """The query without the names of speakers of what is searched.

    Items are embedded without their speaker's name (`embedding_text`); whether the query
    names an item's speaker is a part of the rank score of its own.

    Args:
        query: What is looked for.
        named: The speakers whose name has a word of the query.

    Returns:
        The text to embed: the query as it is if nothing would be left of it.
    """
    speaking = {word for name in named for word in name}
    names = frozenset(word for number, word in query.names.items() if number in speaking)
    rest = without_words(query.text, names) if names else query.text
    return rest if split_words(rest) else query.text
