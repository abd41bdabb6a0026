"""Capturing what this process writes to standard error."""

from __future__ import annotations

import fcntl
import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from service.output.captured import CapturedOutput

_PIPE_BYTES: Final = 1 << 20
_TOGETHER_MS: Final = 100
"""Lines that come closer together than this may belong together."""

_END_SECONDS: Final = 2.0


@contextmanager
def captured_stderr(real: int) -> Iterator[None]:
    """Log what is written to standard error.

    Args:
        real: A copy of the original descriptor, which is restored at the end.
    """
    source, sink = os.pipe()
    with suppress(OSError, AttributeError):
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    # If it were full, a thread that writes to it while holding the interpreter's lock would wait
    # for the thread that reads it, which waits for that lock. What does not fit is lost instead.
    os.set_blocking(sink, False)
    os.dup2(sink, 2)
    os.close(sink)
    reader = threading.Thread(target=_read, args=(source,), name="stderr", daemon=True)
    reader.start()
    try:
        yield
    finally:
        with suppress(OSError, AttributeError):
            sys.stderr.flush()
        os.dup2(real, 2)
        # Its last writer is gone, unless a process was forked meanwhile.
        reader.join(_END_SECONDS)


def _read(source: int) -> None:
    output = CapturedOutput("stderr")
    poll = select.poll()
    poll.register(source, select.POLLIN)
    while True:
        if not poll.poll(_TOGETHER_MS if output.unfinished else None):
            output.flush()
            continue
        data = os.read(source, 65_536)
        if not data:
            break
        output.feed(data)
    output.flush()
    os.close(source)
