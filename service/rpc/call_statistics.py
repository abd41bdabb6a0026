"""How many calls ended how, and how long they took: what monitoring reads."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the buckets of durations, in seconds; one more bucket has no bound."""


@dataclass(slots=True)
class Durations:
    """A histogram of durations."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """How many ended within each bound, and not within the one before."""
    seconds: float = 0.0
    """Of all together."""


class CallStatistics:
    """Counts calls as they end, in the event loop: a microsecond each.

    Its names are those of methods and codes, which are few whatever callers send.
    """

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str], Durations] = {}
        self._refused: Counter[str] = Counter()

    def ended(self, method: str, code: str, seconds: float, reason: str | None) -> None:
        """A call has ended.

        Args:
            method: Its path over gRPC, or verb and path pattern over HTTP.
            code: The name of its status, or a word for an end without one.
            seconds: How long it took, streams included.
            reason: The name of the error's reason; None if it did not fail.
        """
        durations = self._ended.get((method, code))
        if durations is None:
            durations = self._ended[method, code] = Durations()
        durations.buckets[bisect_left(BOUNDS, seconds)] += 1
        durations.seconds += seconds
        if reason is not None:
            self._refused[reason] += 1

    def refused(self, reason: str) -> None:
        """A call was refused before it was one: no such method, or the server is stopping."""
        self._refused[reason] += 1

    def durations(self) -> dict[tuple[str, str], Durations]:
        """A copy of the durations, by method and code."""
        return {key: Durations(list(one.buckets), one.seconds) for key, one in self._ended.items()}

    def failures(self) -> Mapping[str, int]:
        """How many calls failed for each reason."""
        return dict(self._refused)
