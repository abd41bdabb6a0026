"""How Python runs the processes of the service."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

SWITCH_SECONDS = 0.0002
"""How long a thread may keep the interpreter to itself while another wants it.

Whoever reads a row from the database lets go of the interpreter, and while other threads
are at work waits so long, for each row, to get it back: Python's own 5 ms would let a bulk
deletion hold up everybody else's calls by as many times that.
"""

YOUNG_OBJECTS = 20_000
"""Objects made before the garbage collector looks for cycles among them.

The few hundred of Python's default are less than the calls of one moment hold: it would
look through them again and again, and find that they are all in use.
"""

OPEN_FILES = 65_536
"""Open files and connections that are asked for; the system may allow fewer."""


def raise_file_limit() -> int | None:
    """Let this process, and its children, open as many files as it may, up to OPEN_FILES.

    Returns:
        How many that is; None where there is no such limit.
    """
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if wanted > soft:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft


def tune() -> None:
    """At the beginning of a process."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(YOUNG_OBJECTS)


def run(main: Coroutine[Any, Any, None]) -> None:
    """A process that is an event loop, from its beginning to its end."""
    tune()
    if sys.platform == "win32":
        asyncio.run(main)
    else:
        import uvloop

        uvloop.run(main)


def sacrifice(points: int) -> None:
    """When memory runs out, let Linux end this process rather than the one that started it.

    Args:
        points: Thousandths of the memory there is that count as this process's in addition to
            what it has; see oom_score_adj in proc(5).
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(points), encoding="ascii")


def give_back() -> None:
    """After much was let go: memory that the allocator keeps goes back to the system.

    Where it is glibc's: by itself that gives back only what lies at its heap's end.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def settled() -> None:
    """What the process is made of stays: the collector need not look at it again."""
    gc.freeze()
