"""A leak of one object a call is found, and a cache that fills is none."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cancellation import leaks, running
from tests.cancellation.attempts import Attempt
from tests.cancellation.trial import Trial

SIZE = 120


class Left:
    """What each call of a leaking trial leaves: known to the garbage collector."""

    __slots__ = ("attempt",)


class LeakingTrial(Trial):
    """Every call leaves one object, and one in thirty a task."""

    patience = 1

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._left: list[Left] = []
        self._never = asyncio.Event()
        self._tasks: list[asyncio.Task[bool]] = []

    async def _cancel(self, attempt: Attempt) -> None:
        self._left.append(Left())
        if len(self._left) % 30 == 0:
            self._tasks.append(asyncio.create_task(self._never.wait()))
        await super()._cancel(attempt)


async def test_one_object_a_call_is_found() -> None:
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as directory:
        findings = await running.trial(
            Path(directory), leaks.WINDOW * SIZE, seed=1, size=SIZE, kind=LeakingTrial
        )
    assert all(fault.startswith("calls leave behind ") for fault in findings.faults)
    said = " ".join(findings.faults)
    assert Left.__qualname__ in said
    assert leaks.BLOCKS in said
    assert "Event.wait" in said


def series(*numbers: int) -> list[Counter[str]]:
    return [Counter({"kind": number, "steady": 7}) for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ((0, 100, 200, 300, 400, 500), True),
        ((0, 60, 120, 180, 240, 300), True),
        # A burst among the rounds hides no leak.
        ((0, 100, 200, 9000, 9100, 9200), True),
        # What goes at the same time hides none.
        ((9000, 9100, 9200, 300, 400, 500), True),
        ((5, 5, 5, 5, 5, 5), False),
        # Caches that fill, at once or by and by.
        ((0, 9000, 9000, 9000, 9000, 9000), False),
        ((0, 5000, 9000, 9010, 9015, 9015), False),
        ((0, 0, 4000, 4000, 4000, 9000), False),
        # Work that comes and goes.
        ((300, 0, 280, 10, 290, 20), False),
        # Only the last rounds count.
        ((0, 1000, 2000, 3000, 4000, 5000, 5000, 5000, 5000), False),
    ],
)
def test_growth_that_does_not_end_is_a_leak(numbers: tuple[int, ...], found: bool) -> None:
    assert bool(leaks.left_by_calls(series(*numbers), calls=100)) is found


@pytest.mark.parametrize(
    ("numbers", "found"),
    [((1, 2, 3, 4, 5, 6), True), ((1, 2, 3, 3, 4, 5), False), ((9, 1, 2, 3, 4, 5), False)],
)
def test_more_after_every_round_is_a_leak_however_few(
    numbers: tuple[int, ...], found: bool
) -> None:
    assert bool(leaks.ever_more(series(*numbers))) is found


@pytest.mark.parametrize(
    ("levels", "growth"),
    [
        ((0, 100, 200, 300, 400, 500), 100),
        ((0, 400, 100, 500, 300, 600), 100),
        ((0, 0, 0, 0, 0, 9000), 0),
        ((400, 0, 300, 0, 400, 100), 0),
    ],
)
def test_the_slope_of_blocks_is_deaf_to_noise(levels: tuple[int, ...], growth: int) -> None:
    assert abs(leaks.slope(levels) - growth) <= 40
