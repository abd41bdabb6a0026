"""Standard streams that neither fail a command nor block a server when they cannot be written."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHUNK: Final = getattr(select, "PIPE_BUF", 512)
"""Bytes that can be written to a ready descriptor without blocking."""


class BestEffortWriter(io.RawIOBase):
    """Writes what a descriptor accepts; what it does not accept is lost, and counted.

    A line that was written in part is completed before the next one.

    Args:
        descriptor: Stays open when this is closed.
        timeout: Seconds that a write may wait until the descriptor accepts something;
            after one has timed out, further ones do not wait. None: no limit.
    """

    def __init__(self, descriptor: int, timeout: float | None = None) -> None:
        self._descriptor = descriptor
        self._timeout = timeout
        self._stuck = False
        self._rest = b""
        self.lost = 0
        """How many writes were lost since this was last set to 0."""

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Accepts all of it; never raises."""
        new = bytes(data)
        self._rest = self._written(self._rest)
        rest = new if self._rest else self._written(new)
        if new and len(rest) == len(new):
            self.lost += 1
        else:
            self._rest = rest
        return len(new)

    def _written(self, data: bytes) -> bytes:
        """Write; returns what could not be written."""
        while data and self._ready():
            try:
                data = data[os.write(self._descriptor, data[:_CHUNK]) :]
            except OSError:
                return data
        return data

    def _ready(self) -> bool:
        if self._timeout is None or sys.platform == "win32":
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        self._stuck = not poll.poll(0 if self._stuck else self._timeout * 1000)
        return not self._stuck


def best_effort(descriptor: int, timeout: float | None = None) -> TextIO:
    """A text stream over a `BestEffortWriter`, which is its `buffer`."""
    return io.TextIOWrapper(
        cast("io.BufferedWriter", BestEffortWriter(descriptor, timeout)),
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )


def open_missing() -> None:
    """Give a process that was started with closed standard streams empty ones.

    Otherwise the next file or socket that it opens takes the number of the stream, and
    what a library writes to standard error goes there.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115


def run(command: Callable[[], object]) -> int:
    """Run a command line, and return its exit code.

    The code is 1 if output cannot be written: silently if the reader has closed the pipe,
    else with an error message. What is written to standard error may be lost.
    """
    open_missing()
    sys.stderr = best_effort(2)
    code = 0
    try:
        command()
    except SystemExit as end:
        code = _exit_code(end)
    except BrokenPipeError:
        code = 1
    except OSError as error:
        code = 1
        what = "" if error.filename else "output cannot be written: "
        print(f"Error: {what}{error}", file=sys.stderr)  # noqa: T201
    return code if _flushed() else code or 1


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)  # noqa: T201
    return 1


def _flushed() -> bool:
    """Whether standard output accepted everything. If not, Python does not try again at exit."""
    for stream in (sys.stdout, sys.__stdout__):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            discard_output()
            return False
    return True


def discard_output() -> None:
    """Redirect standard output to the null device, with what is still buffered."""
    with contextlib.suppress(OSError):
        empty = os.open(os.devnull, os.O_WRONLY)
        os.dup2(empty, 1)
        os.close(empty)
