"""The sockets of a server, which gRPC keeps to itself."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Container, Iterator
from pathlib import Path
from typing import TypeAlias

Place: TypeAlias = int | str
"""Where a socket is bound: a port, or the path of a Unix socket."""


def place_of(address: str, port: int) -> Place:
    """Where a server listens that was told `address` and got `port`."""
    if not address.startswith("unix:"):
        return port
    path = address.removeprefix("unix:")
    return path.removeprefix("//") if path.startswith("///") else path


def hang_up(places: Container[Place]) -> None:
    """Ends every connection that was accepted there, and accepts no more.

    What was written before still arrives; nothing does that is written after. So
    callers whose calls nobody took in hear from their own side that the connection
    is gone, which is UNAVAILABLE. gRPC, told to stop, resets such calls, and their
    callers hear CANCELLED, as if it had been they.
    """
    with contextlib.ExitStack() as copies:
        ended = []
        for number, end in _sockets():
            copies.enter_context(end)
            if _place(end) not in places:
                continue
            if end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                # gRPC would log an error if its listener failed: it gets one that is silent.
                with socket.socket(end.family) as silent:
                    os.dup2(silent.fileno(), number, inheritable=False)
                end.close()
            else:
                ended.append(end)
        # Listeners first, or who is quick would connect again.
        for end in ended:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _place(end: socket.socket) -> Place | None:
    name = end.getsockname()
    if end.family in (socket.AF_INET, socket.AF_INET6):
        return int(name[1])
    return name if isinstance(name, str) else None


def _sockets() -> Iterator[tuple[int, socket.socket]]:
    """The open sockets of this process: their numbers, and copies to be closed."""
    try:
        # The same on Linux and macOS.
        numbers = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except OSError:
        return
    for number in numbers:
        with contextlib.suppress(OSError):
            # No copy of a file: closing it would let go of the locks a database has on it.
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                yield number, socket.socket(fileno=os.dup(number))
