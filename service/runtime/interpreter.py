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

A thread that reads a row from the database releases the interpreter, and while other threads
are at work waits so long, for each row, to get it back: with Python's own 5 ms a bulk
deletion would hold up all other calls by that, once for each row.
"""

YOUNG_OBJECTS = 20_000
"""Objects made before the garbage collector looks for cycles among them.

Python's default of a few hundred is less than the calls of one moment hold: the collector
would go through them again and again, and find that they are all in use.
"""

OPEN_FILES = 65_536
"""Open files and connections that are requested; the system may allow fewer."""


def raise_file_limit() -> int | None:
    """Raise the limit of open files for this process and its children, up to OPEN_FILES.

    Returns:
        The limit; None where there is none.
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
    """Run the event loop of a process, from its beginning to its end."""
    tune()
    if sys.platform == "win32":
        asyncio.run(main)
    else:
        import uvloop

        uvloop.run(main)


def raise_oom_score(points: int) -> None:
    """When memory runs out, let Linux end this process rather than the one that started it.

    Args:
        points: Thousandths of the memory there is that count as this process's in addition to
            what it has; see oom_score_adj in proc(5).
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(points), encoding="ascii")


def trim_heap() -> None:
    """After much was freed: return memory that the allocator keeps to the system.

    With glibc, which by itself returns only what lies at the end of its heap.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def freeze_gc() -> None:
    """At the end of start-up: exclude the objects that exist by now from collections."""
    gc.freeze()
