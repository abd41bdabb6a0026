"""Background work leaves processors to those who go first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore

import pytest

from service.core import precedence
from service.core.digests import Digester
from service.core.precedence import Precedence
from service.pipeline.hands import AT_ONCE, Background, Threads
from service.pipeline.workshop import Workshop

COUNT = 3
LIMIT = 10.0


class Work:
    """Waits to be let on; says how much of it is done at once."""

    def __init__(self) -> None:
        self.began = Semaphore(0)
        self.go_on = Semaphore(0)

    def __call__(self, _: Workshop, items: Sequence[int]) -> list[int]:
        self.began.release()
        assert self.go_on.acquire(timeout=LIMIT)
        return [-item for item in items]

    async def at_once(self, expected: int) -> None:
        """Exactly so many begin before any ends."""
        for _ in range(expected):
            assert await asyncio.to_thread(self.began.acquire, timeout=LIMIT)
        assert not await asyncio.to_thread(self.began.acquire, timeout=0.05)


@pytest.mark.parametrize("wanted", [False, True])
async def test_slices_at_once(monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    monkeypatch.setattr(precedence, "QUIET_SECONDS", 3600.0)
    order = Precedence()
    if wanted:
        with order.taken():
            pass
    assert order.wanted is wanted
    work, workshop = Work(), Workshop(Digester(b"0123456789abcdef"), 1, None)
    with ThreadPoolExecutor(20) as threads:
        background = Background(Threads(workshop, threads), order, COUNT)
        mapped = asyncio.ensure_future(background.map(work, range(20), 1))
        await work.at_once(AT_ONCE if wanted else AT_ONCE * COUNT)
        for _ in range(20):
            work.go_on.release()
        assert await asyncio.wait_for(mapped, LIMIT) == [-item for item in range(20)]


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
