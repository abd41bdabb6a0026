"""Which rows hold a term, and how often."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from service.search.columns import Column, Counts, Rows

LEAST_TAIL = 32_768
"""Postings that the tail may have before it is merged, however few the others are."""

_TAIL_SHARE = 4


class Postings:
    """Postings as three parallel arrays sorted by term, and a tail that is not yet sorted.

    A lookup is a binary search in the sorted part and a scan of the tail, at about 0.1 ms
    for 300,000 postings; the tail is merged when it outgrows a quarter of the rest, so that
    adding costs what is added, taken over many.

    Rows that are dead stay in until `renumber`: readers mask them.
    """

    __slots__ = (
        "_counts",
        "_least_tail",
        "_rows",
        "_tail_counts",
        "_tail_rows",
        "_tail_terms",
        "_terms",
    )

    def __init__(self, least_tail: int = LEAST_TAIL) -> None:
        """No postings; a tail of up to `least_tail` is never merged."""
        self._least_tail = least_tail
        self._terms = np.empty(0, np.uint32)
        self._rows = np.empty(0, np.int32)
        self._counts = np.empty(0, np.uint8)
        self._tail_terms = Column(np.uint32)
        self._tail_rows = Column(np.int32)
        self._tail_counts = Column(np.uint8)

    @property
    def nbytes(self) -> int:
        tail = (self._tail_terms, self._tail_rows, self._tail_counts)
        main = (self._terms, self._rows, self._counts)
        return sum(a.nbytes for a in main) + sum(c.nbytes for c in tail)

    def add(self, terms: npt.NDArray[np.uint32], rows: Rows, counts: Counts) -> None:
        """Add postings; no term twice for one row."""
        self._tail_terms.extend(terms)
        self._tail_rows.extend(rows)
        self._tail_counts.extend(counts)
        if len(self._tail_terms) > max(self._least_tail, len(self._terms) // _TAIL_SHARE):
            self._merge()

    def find(self, term: int) -> tuple[Rows, Counts]:
        """The rows that hold a term, each once, in no order, and how often each does."""
        key = np.uint32(term)
        first, last = self._terms.searchsorted(key), self._terms.searchsorted(key, side="right")
        rows, counts = self._rows[first:last], self._counts[first:last]
        recent = np.flatnonzero(self._tail_terms.values == key)
        if not len(recent):
            return rows, counts
        return (
            np.concatenate((rows, self._tail_rows.values[recent])),
            np.concatenate((counts, self._tail_counts.values[recent])),
        )

    def renumber(self, numbers: Rows) -> None:
        """Give each row its number in `numbers`, and drop those whose number is negative."""
        self._merge()
        rows = numbers[self._rows]
        kept = rows >= 0
        self._terms, self._rows = self._terms[kept], rows[kept]
        self._counts = self._counts[kept]

    def _merge(self) -> None:
        tail = self._tail_terms.values
        order = np.argsort(tail, kind="stable")
        places = self._terms.searchsorted(tail[order], side="right")
        self._terms = np.insert(self._terms, places, tail[order])
        self._rows = np.insert(self._rows, places, self._tail_rows.values[order])
        self._counts = np.insert(self._counts, places, self._tail_counts.values[order])
        for column in (self._tail_terms, self._tail_rows, self._tail_counts):
            column.clear()
