"""Background work leaves processors to those who go first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from service.pipeline.executors import AT_ONCE, Background
from service.runtime import priority as precedence
from service.runtime.priority import Precedence
from tests.waiting import HANG_SECONDS

COUNT = 3
TURNS = 1000
"""Of the event loop: in so many begins whatever waits for nothing else."""


class HeldHands:
    """Begin all work that they are given, and end none before they are let on."""

    free = False

    def __init__(self) -> None:
        self.running = 0
        self.go_on = asyncio.Event()

    def wake(self) -> None:
        """Nothing: they are always ready."""

    async def run(self, work: Callable[..., Any], *args: Any, **named: Any) -> Any:
        self.running += 1
        await self.go_on.wait()
        self.running -= 1
        return work(None, *args, **named)


def negated(_: object, items: Sequence[int]) -> list[int]:
    return [-item for item in items]


@pytest.mark.parametrize("wanted", [False, True])
async def test_slices_at_once(monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    monkeypatch.setattr(precedence, "QUIET_SECONDS", 3600.0)
    order = Precedence()
    if wanted:
        with order.taken():
            pass
    assert order.wanted is wanted
    hands = HeldHands()
    background = Background(hands, order, COUNT)
    mapped = asyncio.ensure_future(background.map(negated, range(20), 1))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert hands.running == (AT_ONCE if wanted else AT_ONCE * COUNT)
    hands.go_on.set()
    assert await asyncio.wait_for(mapped, HANG_SECONDS) == [-item for item in range(20)]


def test_searches_are_wanted_while_they_run_and_for_a_while_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(precedence, "monotonic", lambda: now)
    order = Precedence()
    assert not order.wanted
    with order.taken():
        now += 1000
        assert order.wanted
    now += precedence.QUIET_SECONDS / 2
    assert order.wanted
    now += precedence.QUIET_SECONDS
    assert not order.wanted
