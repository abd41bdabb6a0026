"""Events of a kind are admitted a few times in a window, and counted."""

from __future__ import annotations

import threading

from service.output.bursts import MAX_KINDS, BurstLimiter
from tests.unit.seconds_clock import SecondsClock

Reports = list[tuple[str, int, float]]


def limiter(reports: Reports, clock: SecondsClock, max_kinds: int = MAX_KINDS) -> BurstLimiter[str]:
    return BurstLimiter(2, 1000.0, lambda *report: reports.append(report), clock, max_kinds)


def test_a_window_admits_its_limit_of_each_kind() -> None:
    made = limiter([], SecondsClock())
    assert [made.admit("a") for _ in range(4)] == [True, True, False, False]
    assert [made.admit("b") for _ in range(4)] == [True, True, False, False]


def test_the_next_window_admits_again_and_says_what_was_held_back() -> None:
    reports: Reports = []
    clock = SecondsClock()
    made = limiter(reports, clock)
    for _ in range(5):
        made.admit("a")
    clock.now = 1000.0
    assert made.admit("a")
    assert reports == [("a", 3, 1000.0)]


def test_what_was_within_the_limit_is_not_reported() -> None:
    reports: Reports = []
    clock = SecondsClock()
    made = limiter(reports, clock)
    made.admit("a")
    clock.now = 2000.0
    made.admit("a")
    made.flush()
    assert reports == []


def test_flush_reports_what_was_held_back_until_now() -> None:
    reports: Reports = []
    made = limiter(reports, SecondsClock())
    for _ in range(5):
        made.admit("a")
    made.flush()
    made.flush()
    assert reports == [("a", 3, 1000.0)]


def test_a_burst_that_ends_is_reported_without_a_further_event() -> None:
    reported = threading.Event()
    reports: Reports = []

    def report(*what: object) -> None:
        reports.append(what)  # type: ignore[arg-type]
        reported.set()

    made: BurstLimiter[str] = BurstLimiter(1, 0.01, report)
    while made.admit("a"):
        pass
    assert reported.wait(60)
    assert reports[0][:2] == ("a", 1)


def test_few_kinds_are_remembered() -> None:
    reports: Reports = []
    made = limiter(reports, SecondsClock(), max_kinds=3)
    for _ in range(3):
        made.admit("a")
    for kind in "bcd":
        assert made.admit(kind)
    assert reports == [("a", 1, 1000.0)]
    assert len(made._open) == 3
