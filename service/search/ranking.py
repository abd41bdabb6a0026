"""The order of search results, and their scores.

Candidates are all eligible items. What a query is compared with (document
frequencies, average length, best word score, range of the cosines) is counted over
these alone, exactly: nothing outside the mask moves a rank inside it.

The rank score is a weighted sum of parts (`weights.py`). It orders the items of one
query and says nothing absolute, since its best parts are always 1. The score that is
answered is therefore that rank score over the best one, times the confidence in this very
item: a logistic of what its words and its vector show, and to a lesser part of the best
that was found anywhere. It is lower where the next text is close behind the best, below one
half where the item lacks a number or code of the query, and never above that of a hit
before it.

The counts come first, then the highest scores, then the rank scores. Each of these three
rounds goes over all the items once, and keeps little of them: items that do not fit into
memory together are ranked block by block, with the same result. A fourth puts memories in
the place of chunks of their text, if there are any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from time import perf_counter
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from service.search.columns import Counts, Floats, Mask, Rows
from service.search.evidence import Evidence, weigh
from service.search.hashed_query import HashedQuery
from service.search.scope import Scope
from service.search.scorer import SegmentScorer
from service.search.segment import ItemKind
from service.search.speakers import Name
from service.search.weights import (
    CLOSE_CALL,
    CLOSE_MARGIN,
    ENOUGH,
    ENOUGH_ALONE,
    EXACT_EVIDENCE,
    LOGISTIC_SLOPE,
    OWN_EVIDENCE,
    UNMET,
    WEIGHTS,
    Calibration,
    Weights,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a score. Those up to `document` are weighted and add up to the rank score."""

    lexical: float
    semantic: float
    coverage: float
    reply: float
    exact: float
    speaker: float
    substance: float
    question: float
    time: float
    document: float

    confidence: float
    """0..1, that this item has to do with the query."""

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

    found: tuple[str, ...]
    """The terms of the query that the item holds."""

    insisted: tuple[str, ...]
    """The numbers and codes among them."""

    lacking: tuple[str, ...]
    """The numbers and codes of the query that it does not hold."""

    sharing: int
    """How many eligible items have its text, itself included."""

    parts: Parts


Note: TypeAlias = Callable[[str, float, float], None]
"""Takes the name of a part of the work, and when it began and ended by `time.perf_counter`."""

_NEXT_TO_NOTHING = 1e-9
_LEADING = 2

_ECHO = 1.25
"""A question of up to so many times the query's words may ask just the same."""

_ALL = np.float32(1 - 1e-5)
"""A sum of shares from here on is all of them."""


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
    """With its confidence as its score, which its place among the others may lower."""


def rank(
    scopes: Sequence[Scope],
    query: HashedQuery,
    calibration: Calibration,
    limit: int,
    weights: Weights = WEIGHTS,
    *,
    distinct: bool = True,
    required: Sequence[Sequence[int]] = (),
    note: Note | None = None,
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
    ranking = Ranking(
        query, calibration, limit, weights, distinct=distinct, required=required, note=note
    )
    ranking.count(scorers)
    ranking.measure(scorers)
    ranking.collect(scorers)
    if ranking.unsettled:
        ranking.settle(scorers)
    return ranking.hits()


class Ranking:
    """One query's ranking, in rounds over the scorers; see the module.

    Each round is given every scorer once, all together or a few at a time. Between rounds a
    scorer may be created again from the same items; one that is the same object keeps its scores.

    Args:
        query: What is looked for. Its vector is not used before the second round.
        calibration: Of its embedder.
        limit: How many hits are wanted, 1 or more.
        weights: The parameters.
        distinct: Whether items of equal text are found once. A memory then stands for chunks
            of its text.
        required: Hashes of terms, all of which a hit has to hold.
        note: Called when words (`rank.words`) and vectors (`rank.vectors`) have been scored.
    """

    def __init__(
        self,
        query: HashedQuery,
        calibration: Calibration,
        limit: int,
        weights: Weights = WEIGHTS,
        *,
        distinct: bool = True,
        required: Sequence[Sequence[int]] = (),
        note: Note | None = None,
    ) -> None:
        self.query = query
        self.items = 0
        """Eligible ones that were counted."""
        self.named: set[Name] = set()
        """Speakers of eligible items whose name has a word of the query."""
        self._floor, self._certain = calibration.for_query(query.text, english=query.english)
        self._limit = limit
        self._weights = weights
        self._distinct = distinct
        self._required = required
        self._note = note
        self._frequencies = [0] * len(query.synonyms)
        self._evidence: Evidence | None = None
        self._length = 0.0
        self._bm25 = self._lexical = self._coverage = self._cosine = 0.0
        self._nearest = -np.float32(np.inf)
        self._farthest = np.float32(np.inf)
        self._digests: list[npt.NDArray[np.uint64]] = []
        self._memories: list[npt.NDArray[np.uint64]] = []
        self._ranked: list[_Ranked] = []
        self._leading: list[_Ranked] = []
        """The best two of different texts."""
        self._memory_of: dict[int, _Ranked] = {}
        """By digest, the memory that takes the place of a chunk of its text."""

    def count(self, scorers: Sequence[SegmentScorer]) -> None:
        """The first round: how many items there are, and how many hold each term."""
        for scorer in scorers:
            self.items += scorer.count
            self._length += scorer.total_length
            for number, (rows, _) in enumerate(self._postings(scorer)):
                self._frequencies[number] += len(rows)
            self.named |= scorer.segment.named(self.query.names, scorer.eligible)
            self._digests.append(scorer.segment.digests(scorer.eligible))
            # Also where there are no chunks: those of another segment may have the same texts.
            memories = scorer.segment.present(ItemKind.MEMORY, scorer.eligible)
            self._memories.append(scorer.segment.digests(memories))

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
        allowed = [scorer.holding(self._required) for scorer in scorers]
        parts = self._scored_parts(scorers)
        found = self._best(scorers, parts, allowed, self._limit, distinct=self._distinct)
        self._ranked = _merged(self._ranked, found, distinct=self._distinct)[: self._limit]
        # How far the best text is ahead of the next tells how sure it is.
        leading = found
        if not self._distinct or self._limit < _LEADING:
            leading = self._best(scorers, parts, allowed, _LEADING, distinct=True)
        self._leading = _merged(self._leading, leading, distinct=True)[:_LEADING]

    @property
    def unsettled(self) -> bool:
        """Whether chunks were found whose text is that of a memory, which goes before them."""
        return bool(self._unsettled())

    def settle(self, scorers: Sequence[SegmentScorer]) -> None:
        """A last round, needed if `unsettled`: a memory takes the place of a chunk of its text."""
        unsettled = self._unsettled()
        digests = np.array(list(unsettled), np.uint64)
        allowed = [
            scorer.segment.present(ItemKind.MEMORY, scorer.eligible)
            & np.isin(scorer.segment.digest, digests)
            for scorer in scorers
        ]
        parts = self._scored_parts(scorers)
        for ranked in self._best(scorers, parts, allowed, len(unsettled), distinct=True):
            other = self._memory_of.get(ranked.digest, ranked)
            self._memory_of[ranked.digest] = min(ranked, other, key=_order)

    def hits(self) -> list[Hit]:
        """The best of all, in order."""
        if not self._ranked:
            return []
        sharing = _occurrences(self._digests, [ranked.digest for ranked in self._ranked])
        highest = max(-self._ranked[0].minus_total, _NEXT_TO_NOTHING)
        hits = []
        margin = self._margin()
        score = 1.0
        for ranked in self._ranked:
            shown = self._memory_of.get(ranked.digest, ranked).hit
            share = max(0.0, -ranked.minus_total / highest)
            score = min(score, shown.score * share * margin)
            hits.append(replace(shown, score=score, sharing=sharing[ranked.digest]))
        return hits

    def _margin(self) -> float:
        """What is left of the confidence in the best, given how close the next one is."""
        if len(self._leading) < _LEADING:
            return 1.0
        ahead = self._leading[1].minus_total - self._leading[0].minus_total
        return 1 - CLOSE_CALL * math.exp(-ahead / CLOSE_MARGIN)

    def _unsettled(self) -> set[int]:
        """Digests of texts that are both a chunk that was found and a memory."""
        if not self._distinct:
            return set()
        chunks = {r.digest for r in self._ranked if r.hit.kind is ItemKind.CHUNK}
        if not chunks or not self._memories:
            return set()
        memories = np.concatenate(self._memories)
        return {digest for digest in chunks if np.any(memories == np.uint64(digest))}

    def _scored_parts(self, scorers: Sequence[SegmentScorer]) -> list[dict[str, Floats]]:
        for scorer in scorers:
            self._score(scorer)
        return [self._parts(scorer) for scorer in scorers]

    def _best(
        self,
        scorers: Sequence[SegmentScorer],
        parts: Sequence[dict[str, Floats]],
        allowed: Sequence[Mask],
        limit: int,
        *,
        distinct: bool,
    ) -> list[_Ranked]:
        """The best of the allowed rows, in order."""
        totals = [reduce(np.add, part.values()) for part in parts]
        found = _best(scorers, totals, allowed, limit, distinct=distinct)
        held = self._held(scorers, found)
        return [
            _Ranked(
                candidate.minus_total,
                candidate.id,
                scorers[candidate.scorer].segment.digest_at(candidate.row),
                self._hit(
                    scorers[candidate.scorer], candidate.row, parts[candidate.scorer], synonyms
                ),
            )
            for candidate, synonyms in zip(found, held, strict=True)
        ]

    def _held(
        self, scorers: Sequence[SegmentScorer], candidates: Sequence[_Candidate]
    ) -> list[set[int]]:
        """The numbers of the query's synonyms that each candidate holds."""
        held: list[set[int]] = [set() for _ in candidates]
        for place, scorer in enumerate(scorers):
            here = [number for number, c in enumerate(candidates) if c.scorer == place]
            chosen = [candidates[number].row for number in here]
            there = np.zeros(scorer.segment.rows, np.bool_)
            for synonyms, (rows, _) in enumerate(self._postings(scorer) if here else ()):
                there[rows] = True
                for number in np.flatnonzero(there[chosen]).tolist():
                    held[here[number]].add(synonyms)
                there[rows] = False
        return held

    def _postings(self, scorer: SegmentScorer) -> list[tuple[Rows, Counts]]:
        if scorer.postings is None:
            query, outdated = self.query, scorer.segment.outdated is not None
            wanted = query.v1_synonyms() if outdated else query.synonyms
            scorer.postings = [scorer.find(synonyms) for synonyms in wanted]
        return scorer.postings

    def _score(self, scorer: SegmentScorer) -> None:
        """Fill in the scores of words and vectors, not yet normalised."""
        if scorer.scored:
            return
        began = perf_counter()
        if any(self._frequencies):
            self._postings(scorer)
            average = self._length / self.items
            scorer.score_words(self._weighed(), average, self._weights, own=self.query.asks)
        between = perf_counter()
        if self.query.vector is not None:
            scorer.score_vectors(self.query.vector)
        scorer.scored = True
        if self._note is not None:
            self._note("rank.words", began, between)
            self._note("rank.vectors", between, perf_counter())

    def _weighed(self) -> Evidence:
        if self._evidence is None:
            self._evidence = weigh(self.query, self._frequencies, self.items)
        return self._evidence

    def _semantic(self, scorer: SegmentScorer) -> Floats:
        if not np.isfinite(self._nearest):
            return scorer.semantic
        # Among few items, or very similar ones, do not magnify differences that mean nothing.
        least = np.float32(self._certain - self._floor)
        width = max(self._nearest - self._farthest, least)
        return np.where(scorer.embedded, 1 - (self._nearest - scorer.nearness) / width, 0)

    def _confidence(self, scorer: SegmentScorer, row: int) -> float:
        """0..1: that an item has to do with the query."""
        evidence = self._weighed()
        own = self._shown(float(scorer.coverage[row]), float(scorer.cosine[row]))
        best = self._shown(self._coverage, self._cosine)
        shown = OWN_EVIDENCE * own + (1 - OWN_EVIDENCE) * best
        shown += EXACT_EVIDENCE * float(scorer.exact[row])
        enough = ENOUGH if scorer.embedded[row] else ENOUGH_ALONE
        confidence = 1 / (1 + math.exp(-LOGISTIC_SLOPE * (shown - enough)))
        lacking = evidence.insisted and scorer.near_exact[row] < _ALL
        return UNMET * confidence if evidence.absent or lacking else confidence

    def _shown(self, coverage: float, cosine: float) -> float:
        """What words and vector show together."""
        return coverage + ENOUGH * max(0.0, cosine - self._floor) / (self._certain - self._floor)

    def _parts(self, scorer: SegmentScorer) -> dict[str, Floats]:
        """The weighted parts of the rank scores, (rows,) each."""
        segment, weights = scorer.segment, self._weights
        (speaker,) = self.named if len(self.named) == 1 else (None,)
        spoken = (
            segment.said_by(speaker) if speaker is not None else np.zeros(segment.rows, np.bool_)
        )
        substance = np.minimum(segment.words, weights.full_length)
        query = self.query
        asked: Floats = np.float32(weights.question) * segment.asks
        if query.asks:
            same = (scorer.own >= _ALL) & (segment.words <= _ECHO * query.words)
            asked += np.float32(weights.echo) * (segment.asks & same)
        parts = {
            "lexical": scorer.lexical / np.float32(self._lexical or 1),
            "semantic": np.float32(weights.semantic) * self._semantic(scorer),
            "coverage": np.float32(weights.coverage) * scorer.coverage,
            "reply": np.float32(weights.reply) * (scorer.reply / np.float32(self._bm25 or 1)),
            "speaker": np.float32(weights.speaker) * spoken,
            "substance": np.float32(weights.substance)
            * (substance / np.float32(weights.full_length)),
            "question": asked,
            "time": np.float32(weights.time if query.asks_when else 0) * segment.tells_time,
        }
        if self._weighed().insisted:
            parts["exact"] = np.float32(weights.exact) * scorer.exact
        alone: Floats = reduce(np.add, parts.values())
        parts["document"] = np.float32(weights.document) * scorer.highest_of_group(alone)
        return parts

    def _hit(
        self, scorer: SegmentScorer, row: int, parts: dict[str, Floats], held: set[int]
    ) -> Hit:
        segment = scorer.segment
        found, insisted, lacking = self._terms(held)
        confidence = self._confidence(scorer, row)
        return Hit(
            segment=scorer.number,
            id=segment.id_at(row),
            kind=segment.kind_at(row),
            group=segment.group_at(row),
            position=segment.position_at(row),
            score=confidence,
            found=found,
            insisted=insisted,
            lacking=lacking,
            sharing=1,
            parts=Parts(
                confidence=confidence,
                bm25=float(scorer.bm25[row]),
                cosine=float(scorer.cosine[row]),
                exact=float(parts["exact"][row]) if "exact" in parts else 0.0,
                **{name: float(part[row]) for name, part in parts.items() if name != "exact"},
            ),
        )

    def _terms(self, held: set[int]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """The query's terms that are found, and those insisted on that are found and lacking,
        in an item that holds these synonyms."""
        found: list[str] = []
        insisted: list[str] = []
        lacking: list[str] = []
        for term in self.query.terms:
            meets = {term.forms, term.fallback}
            if term.accepted is not None:
                meets.add(term.accepted)
            there = bool(held & meets)
            if there or (term.parts and not term.insisted and held.issuperset(term.parts)):
                found.append(term.text)
            if term.insisted:
                (insisted if there else lacking).append(term.text)
        return tuple(found), tuple(insisted), tuple(lacking)


def _occurrences(
    digests: Sequence[npt.NDArray[np.uint64]], wanted: Sequence[int]
) -> dict[int, int]:
    """How often each wanted digest occurs."""
    # Few others have the same last bits: the digests are gone through once, however many
    # are wanted.
    likely = np.zeros(2**16, np.bool_)
    likely[np.array(wanted, np.uint64).astype(np.uint16)] = True
    near = np.concatenate([some[likely[some.astype(np.uint16)]] for some in digests])
    return {digest: int(np.count_nonzero(near == np.uint64(digest))) for digest in wanted}


def _merged(
    ranked: Sequence[_Ranked], found: Sequence[_Ranked], *, distinct: bool
) -> list[_Ranked]:
    """All of them in order; `distinct`: the best of each text."""
    ordered = sorted((*ranked, *found), key=_order)
    if not distinct:
        return ordered
    texts: dict[int, _Ranked] = {}
    for one in ordered:
        texts.setdefault(one.digest, one)
    return list(texts.values())


def _order(ranked: _Ranked) -> tuple[float, str]:
    return ranked.minus_total, ranked.id


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
    scorers: Sequence[SegmentScorer],
    totals: Sequence[Floats],
    allowed: Sequence[Mask],
    limit: int,
    *,
    distinct: bool,
) -> list[_Candidate]:
    """The best allowed candidates in order; `distinct`: one of each text."""
    scores = [
        np.where(((scorer.lexical > 0) | scorer.embedded) & scorer.findable & mask, total, -np.inf)
        for scorer, total, mask in zip(scorers, totals, allowed, strict=True)
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
