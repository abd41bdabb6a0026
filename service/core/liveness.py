"""Whether other processes are alive, judged by how long their signs of life have not changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class LivenessObserver(Generic[K]):
    """What one process has observed of signs of life, its own and those of others.

    The clocks of machines differ, and may be wrong for a while. So no process compares a
    time that another has written with a clock of its own: a holder is dead once its sign has
    been watched for as long as that sign lasts, without a change.

    Args:
        elapsed: Seconds since an arbitrary start; cannot be set.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._seen: dict[K, tuple[Hashable, float]] = {}

    def note(self, signs: Mapping[K, Hashable]) -> None:
        """These have been seen, or given, just now."""
        now = self._elapsed()
        self._seen.update({key: (sign, now) for key, sign in signs.items()})

    def observe(self, signs: Mapping[K, Hashable]) -> dict[K, float]:
        """For how many seconds each has been as it is; what is not among them is forgotten."""
        now, before = self._elapsed(), self._seen
        self._seen = {}
        for key, sign in signs.items():
            seen, since = before.get(key, (sign, now))
            self._seen[key] = sign, since if seen == sign else now
        return {key: now - since for key, (_, since) in self._seen.items()}
