"""Standard streams that fail no command, and hold up no server, when they take nothing."""

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
"""Bytes that a descriptor which is ready to be written takes without blocking."""


class BestEffortWriter(io.RawIOBase):
    """Writes to a descriptor what it takes; what it does not take is lost, and counted.

    A line that was begun is ended before another begins.

    Args:
        descriptor: Stays open when this is closed.
        patience: Seconds that a write may wait until the descriptor takes something;
            while it is stuck, further ones do not wait. None: as long as it takes.
    """

    def __init__(self, descriptor: int, patience: float | None = None) -> None:
        self._descriptor = descriptor
        self._patience = patience
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
        """Takes all of it; never raises."""
        new = bytes(data)
        self._rest = self._written(self._rest)
        rest = new if self._rest else self._written(new)
        if new and len(rest) == len(new):
            self.lost += 1
        else:
            self._rest = rest
        return len(new)

    def _written(self, data: bytes) -> bytes:
        """Writes; the answer is what could not be."""
        while data and self._ready():
            try:
                data = data[os.write(self._descriptor, data[:_CHUNK]) :]
            except OSError:
                return data
        return data

    def _ready(self) -> bool:
        if self._patience is None or sys.platform == "win32":
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        self._stuck = not poll.poll(0 if self._stuck else self._patience * 1000)
        return not self._stuck


def best_effort(descriptor: int, patience: float | None = None) -> TextIO:
    """A text stream over a `BestEffortWriter`, which is its `buffer`."""
    return io.TextIOWrapper(
        cast("io.BufferedWriter", BestEffortWriter(descriptor, patience)),
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
    """Run a command line, and give its exit code.

    Output that cannot be written ends it with 1: without a word if its reader has gone,
    else with a line that says why. What it says on standard error may be lost.
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
    """Whether standard output took all. If not, Python shall not try it again as it ends."""
    for stream in (sys.stdout, sys.__stdout__):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            discard_output()
            return False
    return True


def discard_output() -> None:
    """From now on standard output goes nowhere, with what it has not taken yet."""
    with contextlib.suppress(OSError):
        empty = os.open(os.devnull, os.O_WRONLY)
        os.dup2(empty, 1)
        os.close(empty)
