"""Background work stands back while somebody waits, for a moment only."""

from __future__ import annotations

import threading

import pytest

from service.core import precedence
from service.core.precedence import Precedence

LIMIT = 10.0


def test_work_goes_on_at_once_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 2 * LIMIT)
    thread = threading.Thread(target=Precedence().give, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_work_goes_on_when_the_last_who_waited_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 2 * LIMIT)
    order = Precedence()
    worked = threading.Event()

    def work() -> None:
        order.give()
        worked.set()

    thread = threading.Thread(target=work, daemon=True)
    with order.taken():
        with order.taken():
            thread.start()
        assert not worked.wait(0.05)
    assert worked.wait(LIMIT)


def test_work_is_slowed_down_but_never_stopped() -> None:
    order = Precedence()
    with order.taken():
        order.give()
        order.give()


def test_a_search_that_fails_does_not_hold_work_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 2 * LIMIT)
    order = Precedence()
    with pytest.raises(ValueError, match="failed"), order.taken():
        raise ValueError("failed")
    thread = threading.Thread(target=order.give, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive()
