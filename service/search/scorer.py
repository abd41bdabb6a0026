"""One segment's part of a search: scores of its rows, from words and from vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.search.columns import Counts, Floats, Mask, Rows, padded
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
        """For each term of the query, once they were looked up."""
        self.scored = False
        """Whether the scores below have been filled in."""
        self.count = int(np.count_nonzero(eligible))
        self.embedded = self._none()
        self.bm25 = self.lexical = self.coverage = self.reply = self._zeros()
        self.cosine = self.nearness = self.semantic = self._zeros()

    def has(self, group: str) -> bool:
        """Whether a group is here, and eligible."""
        return bool(np.any(self.eligible & self.segment.rows_of([group])))

    def find(self, term: int) -> tuple[Rows, Counts]:
        """The eligible rows that hold a term, and how often each does."""
        rows, counts = self.segment.find(term)
        kept = self.eligible[rows]
        return rows[kept], counts[kept]

    @property
    def total_length(self) -> float:
        """Of all eligible rows; exact, so that it does not depend on how rows are split."""
        return float(self.segment.length[self.eligible].sum(dtype=np.float64))

    def score_words(
        self,
        postings: Sequence[tuple[Rows, Counts]],
        idfs: Sequence[float],
        average: float,
        weights: Weights,
    ) -> None:
        """Fill in BM25, its share from neighbours, and the coverage of the query's terms.

        Args:
            postings: for each term of the query.
            idfs: inverse document frequency of each term.
            average: the average length of the eligible items of all segments.
            weights: the parameters.
        """
        bm25, coverage = self._zeros(), self._zeros()
        seen = np.zeros(self.segment.rows + 1, np.bool_)
        damping = weights.k1 * (1 - weights.b + weights.b / average * self.segment.length)
        for (rows, counts), idf in zip(postings, idfs, strict=True):
            often = counts.astype(np.float32)
            bm25[rows] += idf * (weights.k1 + 1) * often / (often + damping[rows])
            near = self._with_neighbours(rows, seen)
            coverage[near] += np.float32(idf / sum(idfs))
        self.bm25, self.coverage = bm25, coverage
        if self.segment.has_groups:
            questions = padded(bm25 * self.segment.asks, 0)
            self.reply = questions[self.segment.before]
        self.lexical = self._with_near(bm25, weights)

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
