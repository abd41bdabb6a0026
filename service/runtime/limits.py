"""Bounds on the processor time and the memory that a piece of work may use.

They are the process's own, so that there must be one thread that works: they hold in processes
that say so with `enable`. Systems without `resource` and `setitimer` have no such bounds.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

BEAT_SECONDS: Final = 5.0
MAX_BEATS: Final = 60

AGAIN_SECONDS: Final = 0.5
"""After the time is over, it is said again and again: a library may swallow it once."""

_DATA: Final = re.compile(rb"VmData:\s+(\d+) kB")


@dataclass(frozen=True, slots=True)
class _Heartbeat:
    beat: Callable[[], None]
    seconds: float


_heartbeat: _Heartbeat | None = None


class LimitExceededError(Exception):
    """The work needed more than it may; the message says of what."""


class _TimeOverError(BaseException):
    """Raised inside the work. Not an Exception: libraries go on after those."""


def enable(beat: Callable[[], None], seconds: float = BEAT_SECONDS) -> None:
    """In the main thread of a process that works in no other: let `limited` hold.

    Args:
        beat: Says that the process is alive. Called from another thread while the main one
            is in `limited`, at most MAX_BEATS times.
        seconds: Between two such calls.
    """
    global _heartbeat  # noqa: PLW0603  (limits are the process's)
    _heartbeat = _Heartbeat(beat, seconds)


def enabled() -> bool:
    """Whether `limited` can be used in this process."""
    return _heartbeat is not None


@contextlib.contextmanager
def limited(seconds: float, memory: int, again: float = AGAIN_SECONDS) -> Iterator[None]:
    """Let what is inside use only so much.

    Args:
        seconds: Of processor time.
        memory: Bytes, in addition to those in use.
        again: Seconds after which work that goes on when its time is over is ended again.

    Raises:
        LimitExceededError: It needed more.
    """
    assert _heartbeat is not None  # noqa: S101  (see `enabled`)
    with _beating(_heartbeat):
        try:
            with _memory(memory), _time(seconds, again):
                yield
        except _TimeOverError:
            raise LimitExceededError(f"{seconds:g} seconds of processor time") from None
        except MemoryError:
            raise LimitExceededError(f"{memory >> 20:,} MiB of memory") from None


@contextlib.contextmanager
def _beating(heartbeat: _Heartbeat) -> Iterator[None]:
    done = threading.Event()

    def run() -> None:
        for _ in range(MAX_BEATS):
            if done.wait(heartbeat.seconds):
                return
            heartbeat.beat()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


if sys.platform == "win32":

    @contextlib.contextmanager
    def _time(seconds: float, again: float) -> Iterator[None]:  # noqa: ARG001
        yield

    @contextlib.contextmanager
    def _memory(more: int) -> Iterator[None]:  # noqa: ARG001
        yield

else:
    import resource

    def _raise(_: int, __: FrameType | None) -> None:
        raise _TimeOverError

    @contextlib.contextmanager
    def _time(seconds: float, again: float) -> Iterator[None]:
        before = signal.signal(signal.SIGPROF, _raise)
        try:
            try:
                signal.setitimer(signal.ITIMER_PROF, seconds, again)
                yield
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        finally:
            # Again: the end of the time may have come just before the line above.
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)

    @contextlib.contextmanager
    def _memory(more: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        used = _data_bytes()
        if used is None:
            yield
            return
        limit = used + more
        for bound in (soft, hard):
            limit = limit if bound == resource.RLIM_INFINITY else min(limit, bound)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    def _data_bytes() -> int | None:
        """The memory that RLIMIT_DATA counts, where the system tells."""
        with contextlib.suppress(OSError):
            found = _DATA.search(Path("/proc/self/status").read_bytes())
            if found is not None:
                return int(found[1]) * 1024
        return None
