"""Limits how often repeated events are reported; the others are counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MAX_KINDS: Final = 1_024
"""Kinds that are tracked at once; with one more, the oldest one's window ends early."""


class BurstLimiter(Generic[K]):
    """Admits some events of each kind in a window of time, and counts the rest.

    Safe to be used by several threads. A kind should name a place in the code: one that
    callers choose freely would let them have as many windows as they like.

    Args:
        limit: Events of a kind that are admitted in a window.
        window: Its length in seconds; it begins with an event, when none is open.
        report: Called with a kind, how many of it were not admitted, and the length of the
            window, when that has ended: without a further event, by a thread of its own.
        clock: Seconds that only grow.
        max_kinds: How many kinds are tracked at once.
    """

    def __init__(
        self,
        limit: int,
        window: float,
        report: Callable[[K, int, float], None],
        clock: Callable[[], float] = time.monotonic,
        max_kinds: int = MAX_KINDS,
    ) -> None:
        self._limit = limit
        self._window = window
        self._report = report
        self._clock = clock
        self._max_kinds = max_kinds
        self._lock = threading.Lock()
        self._open: dict[K, _Window] = {}
        self._timer: threading.Timer | None = None

    def admit(self, kind: K) -> bool:
        """Whether this event is to be reported; if not, it is counted."""
        now = self._clock()
        ended: list[tuple[K, _Window]] = []
        with self._lock:
            window = self._open.get(kind)
            if window is None or now >= window.end:
                if window is not None or len(self._open) >= self._max_kinds:
                    oldest = kind if window is not None else next(iter(self._open))
                    ended.append((oldest, self._open.pop(oldest)))
                window = self._open[kind] = _Window(now + self._window)
            admitted = window.admitted < self._limit
            if admitted:
                window.admitted += 1
            else:
                window.held_back += 1
                self._start_timer(window.end - now)
        self._report_ended(ended)
        return admitted

    def flush(self) -> None:
        """Report what was counted until now."""
        with self._lock:
            ended = list(self._open.items())
            self._open = {}
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self._report_ended(ended)

    def _start_timer(self, seconds: float) -> None:
        """With the lock held: start a timer that reports when the window has ended."""
        if self._timer is None:
            self._timer = threading.Timer(seconds, self._on_timer)
            self._timer.daemon = True
            self._timer.start()

    def _on_timer(self) -> None:
        now = self._clock()
        with self._lock:
            ended = [(kind, window) for kind, window in self._open.items() if now >= window.end]
            for kind, _ in ended:
                del self._open[kind]
            left = [window.end - now for window in self._open.values() if window.held_back]
            self._timer = None
            if left:
                self._start_timer(min(left))
        self._report_ended(ended)

    def _report_ended(self, ended: list[tuple[K, _Window]]) -> None:
        for kind, window in ended:
            if window.held_back:
                self._report(kind, window.held_back, self._window)


class _Window:
    __slots__ = ("admitted", "end", "held_back")

    def __init__(self, end: float) -> None:
        self.end = end
        self.admitted = 0
        self.held_back = 0
