"""Work that needs more time or memory than it may ends with an error, and the process goes on."""

from __future__ import annotations

import contextlib
import signal
import time

import pytest

from service.runtime import limits

MIB = 1 << 20


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the work was said to be alive."""
    made: list[float] = []
    # They are the process's: the tests after this one have none, as before.
    monkeypatch.setattr(limits, "_heartbeat", None)
    assert not limits.enabled()
    limits.enable(lambda: made.append(time.monotonic()), seconds=0.01)
    assert limits.enabled()
    return made


def spin() -> None:
    while True:
        pass


def spin_on() -> None:
    with contextlib.suppress(BaseException):
        spin()
    spin()


def test_work_that_takes_long_is_ended(beats: list[float]) -> None:
    with (
        pytest.raises(limits.LimitExceededError, match="of processor time"),
        limits.limited(0.05, 64 * MIB),
    ):
        spin()
    assert beats
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)
    assert signal.getsignal(signal.SIGPROF) is signal.SIG_DFL


def test_work_that_swallows_the_first_word_of_it_is_ended(beats: list[float]) -> None:
    with pytest.raises(limits.LimitExceededError), limits.limited(0.05, 64 * MIB, again=0.01):
        spin_on()


def test_work_that_takes_much_memory_is_ended(beats: list[float]) -> None:
    with pytest.raises(limits.LimitExceededError, match="64 MiB"), limits.limited(60, 64 * MIB):
        bytearray(256 * MIB)
    assert len(bytearray(256 * MIB)) == 256 * MIB


def test_what_work_raises_is_raised(beats: list[float]) -> None:
    with pytest.raises(LookupError), limits.limited(60, 64 * MIB):
        raise LookupError
    with limits.limited(60, 64 * MIB):
        assert len(bytearray(MIB)) == MIB
