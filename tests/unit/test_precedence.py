"""Background work stands back while somebody waits, for a moment only."""

from __future__ import annotations

import asyncio

import pytest

from service.runtime import priority as precedence
from service.runtime.priority import Precedence
from tests.waiting import HANG_SECONDS


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 2 * HANG_SECONDS)


async def test_work_goes_on_at_once_when_nobody_waits() -> None:
    async with asyncio.timeout(HANG_SECONDS):
        await Precedence().give()


async def test_work_goes_on_when_the_last_who_waited_is_served() -> None:
    order = Precedence()
    with order.taken():
        with order.taken():
            work = asyncio.ensure_future(order.give())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not work.done()
    async with asyncio.timeout(HANG_SECONDS):
        await work


async def test_work_is_slowed_down_but_never_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 0.001)
    order = Precedence()
    async with asyncio.timeout(HANG_SECONDS):
        with order.taken():
            await order.give()
            await order.give()


async def test_a_search_that_fails_does_not_hold_work_back() -> None:
    order = Precedence()
    with pytest.raises(ValueError, match="failed"), order.taken():
        raise ValueError("failed")
    async with asyncio.timeout(HANG_SECONDS):
        await order.give()
