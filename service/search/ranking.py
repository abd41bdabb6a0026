"""The order of search results, and their scores.

Candidates are all eligible items. What a query is compared with (document
frequencies, average length, best word score, range of the cosines) is counted over
these alone, exactly: nothing outside the mask moves a rank inside it.

The rank score is a weighted sum of parts (`weights.py`). It orders the items of one
query and says nothing absolute, since its best parts are always 1. The score that is
answered is therefore that rank score over the best one, times the query's confidence:
a logistic of two absolute measures, the best BM25 over the highest it could
have been, and the best raw cosine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np

from service.search.legs import Leg, Scores
from service.search.masks import Mask
from service.search.query import Query
from service.search.segment import Kind, Segment
from service.search.weights import WEIGHTS, Calibration, Weights


@dataclass(frozen=True, slots=True)
class Parts:
    """What a score was made of; the first seven are weighted and sum up to the rank score."""

    lexical: float
    semantic: float
    coverage: float
    speaker: float
    substance: float
    question: float
    time: float

    confidence: float
    """0..1, of the query as a whole."""

    bm25: float
    """Unweighted, of the item alone."""

    cosine: float
    """Raw, of the item alone; 0 without a vector."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result."""

    segment: int
    """Which of the scopes searched it is in."""

    id: str
    kind: Kind
    group: str
    position: int

    score: float
    """0..1, comparable across the queries of one embedder."""

    parts: Parts


class Scope(NamedTuple):
    """What of a segment a search may find."""

    segment: Segment
    eligible: Mask
    """(rows,) from `Segment.eligible`; the same for all items of one group."""


class _Candidate(NamedTuple):
    minus_total: float
    id: str
    leg: int
    row: int


def rank(
    scopes: Sequence[Scope],
    query: Query,
    calibration: Calibration,
    limit: int,
    weights: Weights = WEIGHTS,
    *,
    distinct: bool = True,
) -> list[Hit]:
    """The `limit` best eligible items of some segments taken as one corpus.

    An item that shares no word with the query, nor stands near one that does, is
    ranked by its vector; without one it is no result. Items of equal text are found
    once if `distinct`, and an item that is in several segments counts once. Ordered by descending
    score, then by ascending id.
    """
    legs = _legs(scopes)
    words = _score_words(legs, query, weights)
    cosine = _score_vectors(legs, query)
    speaker = _named_speaker(legs, query)
    parts = [_parts(leg, query, speaker, weights) for leg in legs]
    totals = [reduce(np.add, part.values()) for part in parts]
    best = _best(legs, totals, limit, distinct=distinct)
    if not best:
        return []
    exponent = calibration.bias + calibration.words * words + calibration.cosine * cosine
    confidence = 1 / (1 + math.exp(-exponent))
    highest = max(-best[0].minus_total, 1e-9)
    hits = []
    for minus_total, item_id, number, row in best:
        leg = legs[number]
        hits.append(
            Hit(
                segment=number,
                id=item_id,
                kind=leg.segment.kind_at(row),
                group=leg.segment.group_at(row),
                position=leg.segment.position_at(row),
                score=confidence * max(0.0, -minus_total / highest),
                parts=Parts(
                    confidence=confidence,
                    bm25=float(leg.bm25[row]),
                    cosine=float(leg.cosine[row]),
                    **{name: float(part[row]) for name, part in parts[number].items()},
                ),
            )
        )
    return hits


def _legs(scopes: Sequence[Scope]) -> list[Leg]:
    """The segments; an item that is in several is eligible in the first of them."""
    legs: list[Leg] = []
    seen: set[str] = set()
    for number, (segment, mask) in enumerate(scopes, 1):
        eligible = mask
        if len(scopes) > 1:
            rows = np.flatnonzero(mask).tolist()
            again = [row for row in rows if segment.id_at(row) in seen]
            if again:
                eligible = mask.copy()
                eligible[again] = False
            if number < len(scopes):
                seen.update(segment.id_at(row) for row in rows)
        legs.append(Leg(segment, eligible))
    return legs


def _score_words(legs: Sequence[Leg], query: Query, weights: Weights) -> float:
    """Fill in what words tell; the best BM25 over its upper bound."""
    count = sum(leg.count for leg in legs)
    if not count or not query.terms:
        return 0.0
    length = sum(float(leg.segment.length[leg.eligible].sum()) for leg in legs)
    found = [[leg.find(term) for leg in legs] for term in query.terms]
    frequencies = [sum(len(rows) for rows, _ in term) for term in found]
    idfs = [math.log(1 + (count - df + 0.5) / (df + 0.5)) for df in frequencies]
    if not any(frequencies):
        return 0.0
    for number, leg in enumerate(legs):
        leg.score_words([term[number] for term in found], idfs, length / count, weights)
    highest = np.float32(max(float(leg.lexical.max(initial=0)) for leg in legs))
    for leg in legs:
        leg.lexical /= highest
    best = max(float(leg.bm25.max(initial=0)) for leg in legs)
    return best / (sum(idfs) * (weights.k1 + 1))


def _score_vectors(legs: Sequence[Leg], query: Query) -> float:
    """Fill in what vectors tell; the best raw cosine."""
    if query.vector is None:
        return 0.0
    embedded = [leg.eligible & leg.segment.embedded for leg in legs]
    for leg in legs:
        leg.score_vectors(query.vector)
    near = np.concatenate([leg.nearness[mask] for leg, mask in zip(legs, embedded, strict=True)])
    if not len(near):
        return 0.0
    lowest, highest = near.min(), near.max()
    for leg, mask in zip(legs, embedded, strict=True):
        if highest > lowest:
            leg.semantic = np.where(mask, (leg.nearness - lowest) / (highest - lowest), 0)
        else:
            leg.semantic = mask.astype(np.float32)
    return max(float(leg.cosine.max(initial=0)) for leg in legs)


def _named_speaker(legs: Sequence[Leg], query: Query) -> tuple[int, ...] | None:
    """The one speaker of the eligible items of whose name the query has a word; else None."""
    named = {
        speaker
        for leg in legs
        for speaker, number in leg.segment.speakers.items()
        if not query.names.isdisjoint(speaker)
        and bool(np.any(leg.eligible & (leg.segment.speaker == number)))
    }
    return named.pop() if len(named) == 1 else None


def _parts(
    leg: Leg, query: Query, speaker: tuple[int, ...] | None, weights: Weights
) -> dict[str, Scores]:
    """The weighted parts of the rank scores, (rows,) each."""
    segment = leg.segment
    number = -1 if speaker is None else segment.speakers.get(speaker, -1)
    substance = np.minimum(segment.words, weights.full_length) / np.float32(weights.full_length)
    return {
        "lexical": leg.lexical,
        "semantic": np.float32(weights.semantic) * leg.semantic,
        "coverage": np.float32(weights.coverage) * leg.coverage,
        "speaker": np.float32(weights.speaker) * (segment.speaker == number),
        "substance": np.float32(weights.substance) * substance,
        "question": np.float32(weights.question) * segment.asks,
        "time": np.float32(weights.time if query.asks_when else 0) * segment.tells_time,
    }


def _best(
    legs: Sequence[Leg], totals: Sequence[Scores], limit: int, *, distinct: bool
) -> list[_Candidate]:
    """The best candidates in order; `distinct`: one of each text."""
    scores = [
        np.where(leg.eligible & ((leg.lexical > 0) | leg.segment.embedded), total, -np.inf)
        for leg, total in zip(legs, totals, strict=True)
    ]
    wanted = limit
    while True:
        # All that are as good as the last wanted one: what is equal is ordered by id.
        threshold = _nth_highest(np.concatenate(scores), wanted)
        found = sorted(
            _Candidate(-float(score[row]), legs[number].segment.id_at(row), number, row)
            for number, score in enumerate(scores)
            for row in np.flatnonzero(score >= threshold).tolist()
        )
        if not distinct:
            return found[:limit]
        texts: dict[int, _Candidate] = {}
        for candidate in found:
            digest = int(legs[candidate.leg].segment.digest[candidate.row])
            texts.setdefault(digest, candidate)
        if len(texts) >= limit or len(found) < wanted:
            return list(texts.values())[:limit]
        wanted *= 4


def _nth_highest(values: Scores, n: int) -> float:
    """The n-th highest of the finite values, or the lowest of them if there are fewer."""
    finite = values[values > -np.inf]
    if n >= len(finite):
        return float(finite.min(initial=np.inf))
    return float(np.partition(finite, len(finite) - n)[len(finite) - n])
