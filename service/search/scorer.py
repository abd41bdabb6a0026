"""One segment's part of a search: scores of its rows, from words and from vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.search.columns import Counts, Floats, Mask, Rows, padded
from service.search.evidence import Evidence
from service.search.hashed_query import Synonyms
from service.search.segment import Segment
from service.search.weights import Weights

_SPARSE = 8  # below one eligible row in so many, their vectors alone are multiplied


class SegmentScorer:
    """The scores of one segment's rows.

    All arrays are (rows,) and 0 outside the eligible. Eligible are all the items of
    a group or none, so that a neighbour is eligible too.

    Args:
        segment: The items.
        eligible: (rows,) which of them.
        number: The index of its scope in the search.
        hidden: (rows,) which of the eligible are no hits; see `Scope`.
    """

    def __init__(
        self, segment: Segment, eligible: Mask, number: int = 0, hidden: Mask | None = None
    ) -> None:
        self.segment = segment
        self.eligible = eligible
        self.findable = eligible if hidden is None else eligible & ~hidden
        """(rows,) what may be a hit."""
        self.number = number
        self.postings: list[tuple[Rows, Counts]] | None = None
        """For each of the query's synonyms, once they were looked up."""
        self.scored = False
        """Whether the scores below have been filled in."""
        self.count = int(np.count_nonzero(eligible))
        self.embedded = self._none()
        self.bm25 = self.lexical = self.coverage = self.reply = self._zeros()
        self.own = self.exact = self.near_exact = self._zeros()
        self.cosine = self.nearness = self.semantic = self._zeros()

    def has(self, group: str) -> bool:
        """Whether a group is here, and eligible."""
        return bool(np.any(self.eligible & self.segment.rows_of([group])))

    def find(self, synonyms: Synonyms) -> tuple[Rows, Counts]:
        """The eligible rows that hold one of some terms, and how often each does."""
        found = [self.segment.find(term) for term in synonyms]
        if len(found) == 1:
            rows, counts = found[0]
        else:
            rows, where = np.unique(
                np.concatenate([rows for rows, _ in found]), return_inverse=True
            )
            counts = np.zeros(len(rows), np.uint8)
            np.maximum.at(counts, where, np.concatenate([counts for _, counts in found]))
        kept = self.eligible[rows]
        return rows[kept], counts[kept]

    def holding(self, required: Sequence[Sequence[int]]) -> Mask:
        """(rows,) which eligible rows hold every one of some terms.

        Of those with an entry of an older analysis this cannot be told: they do.
        """
        holding = self.eligible
        for term in {term for terms in required for term in terms}:
            rows, _ = self.segment.find(term)
            there = self._none()
            there[rows] = True
            holding = holding & there
        outdated = self.segment.outdated
        return holding if outdated is None else holding | (self.eligible & outdated)

    @property
    def total_length(self) -> float:
        """Of all eligible rows; exact, so that it does not depend on how rows are split."""
        return float(self.segment.length[self.eligible].sum(dtype=np.float64))

    def score_words(
        self, evidence: Evidence, average: float, weights: Weights, *, own: bool = True
    ) -> None:
        """Fill in BM25, its share from neighbours, and the coverage of the query's terms.

        Args:
            evidence: The query's terms.
            average: The average length of the eligible items of all segments.
            weights: The parameters.
            own: Whether it is of use which share each row holds by itself.
        """
        assert self.postings is not None  # noqa: S101  (they are looked up in the first round)
        bm25 = self._zeros()
        # On average there are no words where all texts consist of what is left out.
        slope = weights.b / average if average else 0.0
        damping = weights.k1 * (1 - weights.b + slope * self.segment.length)
        for number, idf in evidence.idfs:
            rows, counts = self.postings[number]
            often = counts.astype(np.float32)
            bm25[rows] += idf * (weights.k1 + 1) * often / (often + damping[rows])
        self.bm25 = bm25
        self._cover(evidence, own=own)
        if self.segment.has_groups:
            questions = padded(bm25 * self.segment.asks, 0)
            self.reply = questions[self.segment.before]
        self.lexical = self._with_near(bm25, weights)

    def _cover(self, evidence: Evidence, *, own: bool) -> None:
        """Fill in which share of the query's terms each row holds: by itself and with its
        neighbours, of all terms and of those that are insisted on."""
        assert self.postings is not None  # noqa: S101
        self.own, self.coverage = self._zeros(), self._zeros()
        if evidence.insisted:
            self.exact, self.near_exact = self._zeros(), self._zeros()
        seen = np.zeros(self.segment.rows + 1, np.bool_)
        for term in evidence.terms:
            share = np.float32(term.share)
            if term.parts:
                for near in (False, True) if own else (True,):
                    held = self._zeros()
                    for number, part in term.parts:
                        rows = self.postings[number][0]
                        held[self._with_neighbours(rows, seen) if near else rows] += part
                    if term.whole is not None:
                        rows = self.postings[term.whole][0]
                        held[self._with_neighbours(rows, seen) if near else rows] = 1
                    if near:
                        self.coverage += share * held
                    else:
                        self.own += share * held
            elif term.whole is not None:
                rows = self.postings[term.whole][0]
                if own:
                    self.own[rows] += share
                self.coverage[self._with_neighbours(rows, seen)] += share
            if term.insisted is not None:
                rows = self.postings[term.insisted][0]
                share = np.float32(term.share / evidence.insisted)
                self.exact[rows] += share * np.float32(term.decides)
                self.near_exact[self._with_neighbours(rows, seen)] += share

    def score_vectors(self, vector: Floats) -> None:
        """Fill in the cosines: raw, and with the neighbours' vectors added to each item's."""
        segment = self.segment
        if self.count * _SPARSE < segment.rows:
            rows = np.flatnonzero(self.eligible)
            self.cosine = self._zeros()
            self.cosine[rows] = segment.vectors.some_times(vector, rows)
        else:
            self.cosine = segment.vectors.times(vector)
            self.cosine[~self.eligible] = 0
        self.nearness = self._with_neighborhood(self.cosine) / segment.spread
        self.embedded = self.eligible & segment.embedded

    def highest_of_group(self, scores: Floats) -> Floats:
        """For each row the highest score in its group; its own if it has none."""
        if not self.segment.has_groups:
            return scores
        groups = self.segment.group
        highest = np.full(int(groups.max()) + 1, -np.inf, np.float32)
        np.maximum.at(highest, groups[self.eligible], scores[self.eligible])
        return np.where(groups > 0, highest[groups], scores)

    def _none(self) -> Mask:
        return np.zeros(self.segment.rows, np.bool_)

    def _zeros(self) -> Floats:
        return np.zeros(self.segment.rows, np.float32)

    def _with_neighbours(self, rows: Rows, seen: Mask) -> Rows:
        """Rows and their neighbours in the group, each once; `seen` is scratch space, all false."""
        if not self.segment.has_groups:
            return rows
        seen[rows] = seen[self.segment.before[rows]] = seen[self.segment.after[rows]] = True
        seen[-1] = False  # where the rows without a neighbour point
        near = np.flatnonzero(seen).astype(np.int32)
        seen[near] = False
        return near

    def _with_near(self, scores: Floats, weights: Weights) -> Floats:
        """Each row's score, and a share of its neighbours' by their distance in words."""
        if not self.segment.has_groups:
            return scores
        place = self.segment.place
        total = scores.copy()
        for onward in (self.segment.before, self.segment.after):
            givers = np.flatnonzero(scores)
            takers = onward[givers]
            for _ in range(weights.near_items):
                there = takers >= 0
                givers, takers = givers[there], takers[there]
                distance = np.abs(place[takers] - place[givers])
                share = weights.near * np.maximum(0, 1 - distance / weights.near_words)
                total[takers] += share.astype(np.float32) * scores[givers]
                takers = onward[takers]
        return total

    def _with_neighborhood(self, scores: Floats) -> Floats:
        """Each row's score, and its neighbours' as the segment's neighbourhood has it."""
        total = scores.copy()
        if self.segment.has_groups:
            given = padded(scores, 0)
            for pointers in (self.segment.before, self.segment.after):
                onward = padded(pointers, -1)
                rows = pointers
                for share in self.segment.neighbourhood:
                    total += np.float32(share) * given[rows]
                    rows = onward[rows]
        return total
