"""Holds results of the real ranking against the reference's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from service.search.hashed_query import hash_query
from service.search.ranking import Hit, rank
from service.search.scope import Scope
from service.search.segment import ItemKind
from tests.search.reference import CALIBRATION, HASHER, Reference, Text

CLOSE = 1e-3
"""Ranks are of float32; what is nearer than this counts as equal."""


def search(
    scopes: Sequence[Scope], query: str, vector: Sequence[float] | None, limit: int
) -> list[Hit]:
    asked = hash_query(query, HASHER)
    return rank(scopes, asked if vector is None else asked.near(vector), CALIBRATION, limit)


def assert_same(
    hits: Sequence[Hit],
    eligible: Sequence[Text],
    query: str,
    vector: Sequence[float] | None,
    limit: int,
) -> None:
    """The hits are the best of the eligible, in order, up to ties."""
    reference = Reference(eligible, query, vector)
    totals = reference.totals()
    digests = {text.id: text.digest for text in eligible}
    best: dict[bytes, float] = {}
    for item_id in sorted(totals, key=lambda item_id: -totals[item_id]):
        best.setdefault(digests[item_id], totals[item_id])
    expected = list(best.values())
    memories = {t.digest for t in eligible if t.kind is ItemKind.MEMORY and t.id in totals}

    found = [hit.id for hit in hits]
    assert set(found) <= totals.keys()
    assert len({digests[item_id] for item_id in found}) == len(found) == len(expected[:limit])
    ranks = [best[digests[item_id]] for item_id in found]
    assert ranks == pytest.approx(expected[:limit], abs=CLOSE)
    scores = reference.scores(found, expected)
    assert [hit.score for hit in hits] == pytest.approx(scores, abs=CLOSE)
    for hit in hits:
        assert 0 <= hit.score <= 1
        assert hit.kind is ItemKind.MEMORY or digests[hit.id] not in memories
        assert hit.sharing == sum(text.digest == digests[hit.id] for text in eligible)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
