"""What the storage counts of its own work, for monitoring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from service.runtime.histogram import BucketCounts

SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Bounds for mutations of a batch."""


class BatchStatistics:
    """The batches that were written.

    Attributes:
        sizes: Mutations in each.
        seconds: How long the transaction of each took, the wait for the writer included.
    """

    def __init__(self) -> None:
        self.sizes = BucketCounts(SIZES)
        self.seconds = BucketCounts()

    def written(self, size: int, seconds: float) -> None:
        self.sizes.add(size)
        self.seconds.add(seconds)


class TaskStatistics:
    """The runs of one background task.

    Args:
        now: The wall clock, in microseconds.

    Attributes:
        runs: How many succeeded.
        failures: How many did not, and are tried again.
        last_success: When the last one that succeeded ended, in microseconds; 0: none has.
        last_seconds: How long it took.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.runs = 0
        self.failures = 0
        self.last_success = 0
        self.last_seconds = 0.0

    def ended(self, seconds: float, *, succeeded: bool) -> None:
        """A run has ended, which took so long."""
        if not succeeded:
            self.failures += 1
            return
        self.runs += 1
        self.last_success = self._now()
        self.last_seconds = seconds
