"""How much each term of a query counts, given how many of the eligible items hold it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.search.hashed_query import HashedQuery, HashedTerm

PART_SHARE = 0.5
"""What the parts of a compound count for together where others hold the compound itself."""


FEW = 1
"""A number that no more items have decides the order; the more have it, the more counts what
else they say."""


@dataclass(frozen=True, slots=True)
class CountedTerm:
    """A term with its weight.

    Attributes:
        share: Of all the query's terms, 0 to 1.
        whole: The number of its synonyms; None: no eligible item holds one.
        parts: Of a compound: synonyms, and the share of `whole` that each counts.
        insisted: The synonyms of which an item has to hold one; None: it need not.
        decides: How far having it decides the order, 0 to 1: wholly if few items have it.
    """

    text: str
    share: float
    whole: int | None
    parts: tuple[tuple[int, float], ...]
    insisted: int | None
    decides: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """A query's terms among the eligible items.

    Attributes:
        idfs: Synonyms that BM25 is computed of, with their inverse document frequency.
        terms: All terms.
        insisted: The shares of the terms that are insisted on, added up.
        absent: No eligible item holds some number or code of the query.
    """

    idfs: tuple[tuple[int, float], ...]
    terms: tuple[CountedTerm, ...]
    insisted: float
    absent: bool


def weigh(query: HashedQuery, frequencies: Sequence[int], items: int) -> Evidence:
    """Weigh a query's terms.

    Args:
        query: Its terms.
        frequencies: For each of `HashedQuery.synonyms`, how many eligible items hold one of them.
        items: How many items are eligible.
    """

    def idf(frequency: int) -> float:
        return math.log(1 + (items - frequency + 0.5) / (frequency + 0.5))

    idfs = {}
    weights = []
    absent = False
    for term in query.terms:
        whole = _whole(term, frequencies)
        if whole is not None:
            idfs[whole] = idf(frequencies[whole])
        for part in term.parts:
            idfs[part] = idf(frequencies[part])
        if whole is None and term.parts:
            weights.append(max(idf(frequencies[part]) for part in term.parts))
        else:
            weights.append(idf(frequencies[whole]) if whole is not None else term.doubt * idf(0))
        if term.insisted and not frequencies[_meets(term)]:
            absent = True
    total = sum(weights) or 1.0
    terms = tuple(
        _counted(term, weight / total, _whole(term, frequencies), idfs, frequencies)
        for term, weight in zip(query.terms, weights, strict=True)
    )
    return Evidence(
        idfs=tuple((number, value) for number, value in idfs.items() if frequencies[number]),
        terms=terms,
        insisted=sum(term.share for term in terms if term.insisted is not None),
        absent=absent,
    )


def _meets(term: HashedTerm) -> int:
    return term.forms if term.accepted is None else term.accepted


def _whole(term: HashedTerm, frequencies: Sequence[int]) -> int | None:
    if frequencies[term.forms]:
        return term.forms
    if term.fallback is not None and frequencies[term.fallback]:
        return term.fallback
    return None


def _counted(
    term: HashedTerm,
    share: float,
    whole: int | None,
    idfs: dict[int, float],
    frequencies: Sequence[int],
) -> CountedTerm:
    most = PART_SHARE if whole is not None else 1.0
    total = sum(idfs[part] for part in term.parts)
    meets = _meets(term)
    return CountedTerm(
        text=term.text,
        share=share,
        whole=whole,
        parts=tuple((part, most * idfs[part] / total) for part in term.parts),
        insisted=meets if term.insisted and not term.dated and frequencies[meets] else None,
        decides=(FEW / max(FEW, frequencies[meets])) ** 2,
    )
