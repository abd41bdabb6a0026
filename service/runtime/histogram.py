"""Counting quantities by their size."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Bounds for durations."""


class BucketCounts:
    """How many quantities were within which bound: half a microsecond for each.

    Args:
        bounds: Upper bounds, ascending.

    Attributes:
        counts: How many were within each bound, and not within the one before; last, those
            above all bounds.
        total: The sum of all of them.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, quantity: float) -> None:
        self.counts[bisect_left(self.bounds, quantity)] += 1
        self.total += quantity

    def copy(self) -> BucketCounts:
        copied = BucketCounts(self.bounds)
        copied.counts, copied.total = list(self.counts), self.total
        return copied
