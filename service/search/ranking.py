"""The order of search results, and their scores.

Candidates are all eligible items. What a query is compared with (document
frequencies, average length, best word score, range of the cosines) is counted over
these alone, exactly: nothing outside the mask moves a rank inside it.

The rank score is a weighted sum of parts (`weights.py`). It orders the items of one
query and says nothing absolute, since its best parts are always 1. The score that is
answered is therefore that rank score over the best one, times the confidence that the
query has to do with what is searched at all: a logistic of two absolute measures, the
best share of its terms found in one place, and the best raw cosine.

The counts come first, then the highest scores, then the rank scores. Each of these three
rounds goes over all the items once, and keeps little of them: items that do not fit into
memory together are ranked block by block, with the same result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

import numpy as np

from service.search.columns import Counts, Floats, Rows
from service.search.query import Query
from service.search.scope import Scope
from service.search.scorer import SegmentScorer
from service.search.segment import ItemKind
from service.search.speakers import Name
from service.search.weights import ENOUGH_WORDS, LOGISTIC_SLOPE, WEIGHTS, Calibration, Weights


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a score. Those up to `document` are weighted and add up to the rank score."""

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
    kind: ItemKind
    group: str
    position: int

    score: float
    """0..1, comparable across the queries of one embedder."""

    parts: Parts


_NEXT_TO_NOTHING = 1e-9


class _Candidate(NamedTuple):
    minus_total: float
    id: str
    scorer: int
    row: int


class _Ranked(NamedTuple):
    minus_total: float
    id: str
    digest: int
    hit: Hit
    """Without its score, which the best total decides."""


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
    scorers = _scorers(scopes)
    if limit < 1 or not any(scorer.count for scorer in scorers):
        return []
    ranking = Ranking(query, calibration, limit, weights, distinct=distinct)
    ranking.count(scorers)
    ranking.measure(scorers)
    ranking.collect(scorers)
    return ranking.hits()


class Ranking:
    """One query's ranking, in three rounds over the scorers; see the module.

    Each round is given every scorer once, all together or a few at a time. Between rounds a
    scorer may be created again from the same items; one that is the same object keeps its scores.

    Args:
        query: What is looked for. Its vector is not used before the second round.
        calibration: Of its embedder.
        limit: How many hits are wanted, 1 or more.
        weights: The parameters.
        distinct: Whether items of equal text are found once.
    """

    def __init__(
        self,
        query: Query,
        calibration: Calibration,
        limit: int,
        weights: Weights = WEIGHTS,
        *,
        distinct: bool = True,
    ) -> None:
        self.query = query
        self.items = 0
        """Eligible ones that were counted."""
        self.named: set[Name] = set()
        """Speakers of eligible items whose name has a word of the query."""
        self._calibration = calibration
        self._limit = limit
        self._weights = weights
        self._distinct = distinct
        self._frequencies = [0] * len(query.terms)
        self._length = 0.0
        self._bm25 = self._lexical = self._coverage = self._cosine = 0.0
        self._nearest = -np.float32(np.inf)
        self._farthest = np.float32(np.inf)
        self._ranked: list[_Ranked] = []

    def count(self, scorers: Sequence[SegmentScorer]) -> None:
        """The first round: how many items there are, and how many hold each term."""
        for scorer in scorers:
            self.items += scorer.count
            self._length += scorer.total_length
            for number, (rows, _) in enumerate(self._postings(scorer)):
                self._frequencies[number] += len(rows)
            self.named |= scorer.segment.named(self.query.names, scorer.eligible)

    def measure(self, scorers: Sequence[SegmentScorer]) -> None:
        """The second round: the highest scores, which the others are compared with."""
        for scorer in scorers:
            self._score(scorer)
            self._bm25 = max(self._bm25, float(scorer.bm25.max(initial=0)))
            self._lexical = max(self._lexical, float(scorer.lexical.max(initial=0)))
            self._coverage = max(self._coverage, float(scorer.coverage.max(initial=0)))
            self._cosine = max(self._cosine, float(scorer.cosine.max(initial=0)))
            near = scorer.nearness[scorer.embedded]
            if len(near):
                self._nearest = max(self._nearest, near.max())
                self._farthest = min(self._farthest, near.min())

    def collect(self, scorers: Sequence[SegmentScorer]) -> None:
        """The third round: the best items so far."""
        for scorer in scorers:
            self._score(scorer)
        parts = [self._parts(scorer) for scorer in scorers]
        totals = [reduce(np.add, part.values()) for part in parts]
        for candidate in _best(scorers, totals, self._limit, distinct=self._distinct):
            scorer, row = scorers[candidate.scorer], candidate.row
            digest = scorer.segment.digest_at(row)
            hit = self._hit(scorer, row, parts[candidate.scorer])
            self._ranked.append(_Ranked(candidate.minus_total, candidate.id, digest, hit))
        self._ranked.sort(key=lambda ranked: ranked[:2])
        if self._distinct:
            texts: dict[int, _Ranked] = {}
            for ranked in self._ranked:
                texts.setdefault(ranked.digest, ranked)
            self._ranked = list(texts.values())
        del self._ranked[self._limit :]

    def hits(self) -> list[Hit]:
        """The best of all, in order."""
        if not self._ranked:
            return []
        confidence = self._confidence()
        highest = max(-self._ranked[0].minus_total, _NEXT_TO_NOTHING)
        return [
            replace(ranked.hit, score=confidence * max(0.0, -ranked.minus_total / highest))
            for ranked in self._ranked
        ]

    def _postings(self, scorer: SegmentScorer) -> list[tuple[Rows, Counts]]:
        if scorer.postings is None:
            scorer.postings = [scorer.find(term) for term in self.query.terms]
        return scorer.postings

    def _score(self, scorer: SegmentScorer) -> None:
        """Fill in the scores of words and vectors, not yet normalised."""
        if scorer.scored:
            return
        if any(self._frequencies):
            idfs = [math.log(1 + (self.items - df + 0.5) / (df + 0.5)) for df in self._frequencies]
            average = self._length / self.items
            scorer.score_words(self._postings(scorer), idfs, average, self._weights)
        if self.query.vector is not None:
            scorer.score_vectors(self.query.vector)
        scorer.scored = True

    def _semantic(self, scorer: SegmentScorer) -> Floats:
        if not np.isfinite(self._nearest):
            return scorer.semantic
        calibration = self._calibration
        # Among few items, or very similar ones, do not magnify differences that mean nothing.
        least = np.float32(calibration.certain - calibration.noise_floor)
        width = max(self._nearest - self._farthest, least)
        return np.where(scorer.embedded, 1 - (self._nearest - scorer.nearness) / width, 0)

    def _confidence(self) -> float:
        """0..1: that the query has to do with any of the eligible items."""
        calibration = self._calibration
        beyond = max(0.0, self._cosine - calibration.noise_floor)
        beyond /= calibration.certain - calibration.noise_floor
        evidence = self._coverage + ENOUGH_WORDS * beyond
        return 1 / (1 + math.exp(-LOGISTIC_SLOPE * (evidence - ENOUGH_WORDS)))

    def _parts(self, scorer: SegmentScorer) -> dict[str, Floats]:
        """The weighted parts of the rank scores, (rows,) each."""
        segment, weights = scorer.segment, self._weights
        (speaker,) = self.named if len(self.named) == 1 else (None,)
        spoken = (
            segment.said_by(speaker) if speaker is not None else np.zeros(segment.rows, np.bool_)
        )
        substance = np.minimum(segment.words, weights.full_length)
        asks_when = self.query.asks_when
        parts = {
            "lexical": scorer.lexical / np.float32(self._lexical or 1),
            "semantic": np.float32(weights.semantic) * self._semantic(scorer),
            "coverage": np.float32(weights.coverage) * scorer.coverage,
            "reply": np.float32(weights.reply) * (scorer.reply / np.float32(self._bm25 or 1)),
            "speaker": np.float32(weights.speaker) * spoken,
            "substance": np.float32(weights.substance)
            * (substance / np.float32(weights.full_length)),
            "question": np.float32(weights.question) * segment.asks,
            "time": np.float32(weights.time if asks_when else 0) * segment.tells_time,
        }
        alone: Floats = reduce(np.add, parts.values())
        parts["document"] = np.float32(weights.document) * scorer.highest_of_group(alone)
        return parts

    def _hit(self, scorer: SegmentScorer, row: int, parts: dict[str, Floats]) -> Hit:
        segment = scorer.segment
        return Hit(
            segment=scorer.number,
            id=segment.id_at(row),
            kind=segment.kind_at(row),
            group=segment.group_at(row),
            position=segment.position_at(row),
            score=0.0,
            parts=Parts(
                confidence=self._confidence(),
                bm25=float(scorer.bm25[row]),
                cosine=float(scorer.cosine[row]),
                **{name: float(part[row]) for name, part in parts.items()},
            ),
        )


def _scorers(scopes: Sequence[Scope]) -> list[SegmentScorer]:
    """The segments; a document that is in several is eligible in the first of them."""
    scorers: list[SegmentScorer] = []
    for number, (segment, mask, hidden) in enumerate(scopes):
        eligible = mask
        for earlier in scorers:
            shared = [g for g in segment.groups() & earlier.segment.groups() if earlier.has(g)]
            if shared:
                eligible = eligible & ~segment.rows_of(shared)
        scorers.append(SegmentScorer(segment, eligible, number, hidden))
    return scorers


def _best(
    scorers: Sequence[SegmentScorer], totals: Sequence[Floats], limit: int, *, distinct: bool
) -> list[_Candidate]:
    """The best candidates in order; `distinct`: one of each text."""
    scores = [
        np.where(((scorer.lexical > 0) | scorer.embedded) & scorer.findable, total, -np.inf)
        for scorer, total in zip(scorers, totals, strict=True)
    ]
    wanted = limit
    while True:
        # All that are as good as the last wanted one: what is equal is ordered by id.
        threshold = _nth_highest(np.concatenate(scores), wanted)
        found = sorted(
            _Candidate(-float(score[row]), scorers[number].segment.id_at(row), number, row)
            for number, score in enumerate(scores)
            for row in np.flatnonzero(score >= threshold).tolist()
        )
        if not distinct:
            return found[:limit]
        texts: dict[int, _Candidate] = {}
        for candidate in found:
            digest = scorers[candidate.scorer].segment.digest_at(candidate.row)
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
