"""How many calls ended how, and how long they took: what monitoring reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from service.runtime.histogram import BucketCounts


class CallStatistics:
    """Counts calls as they end, in the event loop: a microsecond each.

    Its names are those of methods and codes, which are few whatever callers send.
    """

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str], BucketCounts] = {}
        self._failures: Counter[str] = Counter()

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
            durations = self._ended[method, code] = BucketCounts()
        durations.add(seconds)
        if reason is not None:
            self._failures[reason] += 1

    def refused(self, reason: str) -> None:
        """A call was refused before it was one: no such method, or the server is stopping."""
        self._failures[reason] += 1

    def durations(self) -> dict[tuple[str, str], BucketCounts]:
        """A copy of the durations in seconds, by method and code."""
        return {key: one.copy() for key, one in self._ended.items()}

    def failures(self) -> Mapping[str, int]:
        """How many calls failed for each reason."""
        return dict(self._failures)
