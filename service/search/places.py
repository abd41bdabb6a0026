"""The items of what is searched, without ranking them: for what only their texts tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

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
