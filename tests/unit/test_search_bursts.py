"""What happens many times in a row is said once."""

from __future__ import annotations

from service.retrieval.bursts import QUIET_SECONDS, Bursts


def test_only_the_first_of_a_burst_begins_it() -> None:
    now = 0.0
    said = Bursts(lambda: now)

    def at(instant: float, key: str) -> bool:
        nonlocal now
        now = instant
        return said.begins(key)

    assert at(0, "a")
    assert not at(QUIET_SECONDS, "a")
    assert not at(2 * QUIET_SECONDS, "a")
    assert at(2 * QUIET_SECONDS, "b")
    assert at(3 * QUIET_SECONDS + 1, "a")


def test_few_are_remembered() -> None:
    said = Bursts(lambda: 0.0, remembered=2)

    assert [said.begins(key) for key in "abab"] == [True, True, False, False]
    assert said.begins("c")
    assert said.begins("a")
