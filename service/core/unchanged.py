"""How long others have left something as it is, watched by the time that passes here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Unchanged(Generic[K]):
    """What one server has observed of signs of life, its own and those of others.

    The clocks of servers differ, and may be wrong for a while. So no server compares a time
    that another has written with a clock of its own: a holder is dead when a server has
    watched its sign for as long as that lasts and seen no change of it.

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
