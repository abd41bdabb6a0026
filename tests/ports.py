"""Ports for servers that tests start."""

from __future__ import annotations

import contextlib
import random
import socket

# Not seeded, as tests may seed the other one: several runs at once must not agree.
_RANDOM = random.SystemRandom()


def free_port() -> int:
    """A port below those that the system hands out by itself, to connections among others."""
    while True:
        port = _RANDOM.randrange(10_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
