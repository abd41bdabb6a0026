"""The order of search results, and their scores.

Candidates are all eligible items. What a query is compared with (document
frequencies, average length, best word score, range of the cosines) is counted over
these alone, exactly: nothing outside the mask moves a rank inside it.

The rank score is a weighted sum of parts (`weights.py`). It orders the items of one
query and says nothing absolute, since its best parts are always 1. The score that is
answered is therefore that rank score over the best one, times the confidence that the
query has to do with what is searched at all: a logistic of two absolute measures, the
best share of its terms found in one place, and the best raw cosine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np

from service.search.columns import Floats
from service.search.legs import Leg
from service.search.query import Query
from service.search.scope import Scope, named_speakers
from service.search.segment import Kind
from service.search.speakers import Name
from service.search.weights import DECISIVENESS, ENOUGH_WORDS, WEIGHTS, Calibration, Weights


@dataclass(frozen=True, slots=True)
class Parts:
    """What a score was made of. As far as `document` weighted: together, the rank score."""

    lexical: float
    semantic: float
    coverage: float
    reply: float
    speaker: float
    substance: float
    question: float
    time: float
    document: float

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


_NEXT_TO_NOTHING = 1e-9


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
    once if `distinct`, and a document that is in several segments counts once. Ordered by
    descending score, then by ascending id.
    """
    legs = _legs(scopes)
    if limit < 1 or not any(leg.count for leg in legs):
        return []
    _score_words(legs, query, weights)
    _score_vectors(legs, query, calibration)
    named = named_speakers([Scope(leg.segment, leg.eligible) for leg in legs], query.names)
    speaker = named.pop() if len(named) == 1 else None
    parts = [_parts(leg, query, speaker, weights) for leg in legs]
    totals = [reduce(np.add, part.values()) for part in parts]
    best = _best(legs, totals, limit, distinct=distinct)
    if not best:
        return []
    confidence = _confidence(legs, calibration)
    highest = max(-best[0].minus_total, _NEXT_TO_NOTHING)
    return [
        Hit(
            segment=number,
            id=item_id,
            kind=legs[number].segment.kind_at(row),
            group=legs[number].segment.group_at(row),
            position=legs[number].segment.position_at(row),
            score=confidence * max(0.0, -minus_total / highest),
            parts=Parts(
                confidence=confidence,
                bm25=float(legs[number].bm25[row]),
                cosine=float(legs[number].cosine[row]),
                **{name: float(part[row]) for name, part in parts[number].items()},
            ),
        )
        for minus_total, item_id, number, row in best
    ]


def _legs(scopes: Sequence[Scope]) -> list[Leg]:
    """The segments; a document that is in several is eligible in the first of them."""
    legs: list[Leg] = []
    for segment, mask in scopes:
        eligible = mask
        for earlier in legs:
            shared = [g for g in segment.groups() & earlier.segment.groups() if earlier.has(g)]
            if shared:
                eligible = eligible & ~segment.rows_of(shared)
        legs.append(Leg(segment, eligible))
    return legs


def _score_words(legs: Sequence[Leg], query: Query, weights: Weights) -> None:
    """Fill in what words tell."""
    count = sum(leg.count for leg in legs)
    found = [[leg.find(term) for leg in legs] for term in query.terms]
    frequencies = [sum(len(rows) for rows, _ in term) for term in found]
    if not any(frequencies):
        return
    idfs = [math.log(1 + (count - df + 0.5) / (df + 0.5)) for df in frequencies]
    length = sum(float(leg.segment.length[leg.eligible].sum()) for leg in legs)
    for number, leg in enumerate(legs):
        leg.score_words([term[number] for term in found], idfs, length / count, weights)
    best = max(float(leg.bm25.max(initial=0)) for leg in legs)
    highest = max(float(leg.lexical.max(initial=0)) for leg in legs)
    for leg in legs:
        leg.lexical = leg.lexical / np.float32(highest)
        leg.reply = leg.reply / np.float32(best)


def _score_vectors(legs: Sequence[Leg], query: Query, calibration: Calibration) -> None:
    """Fill in what vectors tell."""
    if query.vector is None:
        return
    for leg in legs:
        leg.score_vectors(query.vector)
    near = np.concatenate([leg.nearness[leg.embedded] for leg in legs])
    if not len(near):
        return
    highest = near.max()
    # Among few items, or much alike, differences that mean nothing are not made large.
    width = max(highest - near.min(), np.float32(calibration.sure - calibration.chance))
    for leg in legs:
        leg.semantic = np.where(leg.embedded, 1 - (highest - leg.nearness) / width, 0)


def _confidence(legs: Sequence[Leg], calibration: Calibration) -> float:
    """0..1: that the query has to do with any of the eligible items."""
    words = max(float(leg.coverage.max(initial=0)) for leg in legs)
    cosine = max(float(leg.cosine.max(initial=0)) for leg in legs)
    beyond = max(0.0, cosine - calibration.chance) / (calibration.sure - calibration.chance)
    evidence = words + ENOUGH_WORDS * beyond
    return 1 / (1 + math.exp(-DECISIVENESS * (evidence - ENOUGH_WORDS)))


def _parts(leg: Leg, query: Query, speaker: Name | None, weights: Weights) -> dict[str, Floats]:
    """The weighted parts of the rank scores, (rows,) each."""
    segment = leg.segment
    spoken = segment.said_by(speaker) if speaker is not None else np.zeros(segment.rows, np.bool_)
    substance = np.minimum(segment.words, weights.full_length) / np.float32(weights.full_length)
    parts = {
        "lexical": leg.lexical,
        "semantic": np.float32(weights.semantic) * leg.semantic,
        "coverage": np.float32(weights.coverage) * leg.coverage,
        "reply": np.float32(weights.reply) * leg.reply,
        "speaker": np.float32(weights.speaker) * spoken,
        "substance": np.float32(weights.substance) * substance,
        "question": np.float32(weights.question) * segment.asks,
        "time": np.float32(weights.time if query.asks_when else 0) * segment.tells_time,
    }
    alone: Floats = reduce(np.add, parts.values())
    parts["document"] = np.float32(weights.document) * leg.highest_of_group(alone)
    return parts


def _best(
    legs: Sequence[Leg], totals: Sequence[Floats], limit: int, *, distinct: bool
) -> list[_Candidate]:
    """The best candidates in order; `distinct`: one of each text."""
    scores = [
        np.where((leg.lexical > 0) | leg.embedded, total, -np.inf)
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
            digest = legs[candidate.leg].segment.digest_at(candidate.row)
            texts.setdefault(digest, candidate)
        if len(texts) >= limit or len(found) < wanted:
            return list(texts.values())[:limit]
        wanted *= 4


def _nth_highest(values: Floats, n: int) -> float:
    """The n-th highest of the finite values, or the lowest of them if there are fewer."""
    finite = values[values > -np.inf]
    if n >= len(finite):
        return float(finite.min(initial=np.inf))
    return float(np.partition(finite, len(finite) - n)[len(finite) - n])
