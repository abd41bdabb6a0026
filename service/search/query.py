"""A query made ready for ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.search.analysis import analyse_query
from service.search.entry import TermHasher
from service.search.scope import Scope, named_speakers
from service.search.words import split_words, without_words


@dataclass(frozen=True, slots=True)
class Query:
    """What ranking compares items with."""

    terms: tuple[int, ...]
    """Hashes of its distinct terms."""

    names: frozenset[int]
    """Hashes of its words, as words of a speaker's name."""

    asks_when: bool = False
    vector: npt.NDArray[np.float32] | None = None
    """(dimension,) of unit length; None: search by words alone."""


def make_query(text: str, hasher: TermHasher, vector: npt.ArrayLike | None = None) -> Query:
    """Analyse a query; its vector, if there is one, is brought to unit length.

    A vector of zeros says nothing and is left out.
    """
    question = analyse_query(text)
    unit = None
    if vector is not None:
        raw = np.asarray(vector, np.float32)
        norm = float(np.linalg.norm(raw))
        unit = raw / np.float32(norm) if norm > 0 else None
    return Query(
        terms=tuple(dict.fromkeys(hasher.term(term) for term in question.terms)),
        names=frozenset(hasher.name(word) for word in question.names),
        asks_when=question.asks_when,
        vector=unit,
    )


def text_to_embed(text: str, hasher: TermHasher, scopes: Sequence[Scope]) -> str:
    """The query less the names of those who speak in what is searched.

    Items are embedded without their speaker's name (`embedding_text`), and whether the one
    a query names is the one who speaks is ranked by itself.

    Returns:
        The text to embed: the query as it is if nothing would be left of it.
    """
    hashed = {hasher.name(word): word for word in analyse_query(text).names}
    speaking = {word for name in named_speakers(scopes, hashed) for word in name}
    names = frozenset(word for number, word in hashed.items() if number in speaking)
    rest = without_words(text, names) if names else text
    return rest if split_words(rest) else text
