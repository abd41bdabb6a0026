"""The items of what is searched, without ranking them: for what only their texts tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from service.search.hashed_query import HashedQuery
from service.search.scope import Scope
from service.search.scorer import SegmentScorer
from service.search.segment import ItemKind


class Place(NamedTuple):
    """Where an item is, as a `Hit` says it."""

    segment: int
    id: str
    kind: ItemKind
    group: str
    position: int


def places(scopes: Sequence[Scope], required: Sequence[Sequence[int]]) -> Iterator[Place]:
    """What may be found and holds all the required terms, in no order."""
    for number, (segment, eligible, hidden) in enumerate(scopes):
        scorer = SegmentScorer(segment, eligible, number, hidden)
        for row in (scorer.findable & scorer.holding(required)).nonzero()[0].tolist():
            yield Place(
                number,
                segment.id_at(row),
                segment.kind_at(row),
                segment.group_at(row),
                segment.position_at(row),
            )


def count_holders(scopes: Sequence[Scope], query: HashedQuery) -> int:
    """How many of what may be found hold all that a query insists on."""
    insisted: list[set[int]] = []
    for term in query.terms:
        if term.insisted:
            numbers = (term.forms, term.fallback, term.accepted)
            meeting = [query.synonyms[number] for number in numbers if number is not None]
            insisted.append(set().union(*meeting))
    count = 0
    for segment, eligible, hidden in scopes:
        holding = eligible if hidden is None else eligible & ~hidden
        for hashes in insisted:
            there = np.zeros(segment.rows, np.bool_)
            for term_hash in hashes:
                there[segment.find(term_hash)[0]] = True
            holding = holding & there
        count += int(np.count_nonzero(holding))
    return count


def without(scopes: Sequence[Scope], ids: Collection[str], texts: set[int]) -> list[Scope]:
    """The scopes, in which some items are no hits, nor is what has the same text.

    Args:
        scopes: What is searched.
        ids: The items.
        texts: Digests of their texts, to which those are added that are found here.
    """
    for scope in scopes:
        texts.update(scope.segment.digests(scope.segment.rows_with(ids)).tolist())
    digests = np.fromiter(texts, np.uint64, len(texts))
    narrowed = []
    for scope in scopes:
        mask = np.isin(scope.segment.digest, digests)
        hidden = mask if scope.hidden is None else scope.hidden | mask
        narrowed.append(scope._replace(hidden=hidden))
    return narrowed
