"""A clock of seconds that stands until it is set."""

from __future__ import annotations


class SecondsClock:
    """`now` is what it says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
