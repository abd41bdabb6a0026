"""The connections of callers, and the rate of failed calls on each.

A connection is identified by its peer's address, as gRPC names it. A failed call is one
without a key or with a wrong one, of an unknown method, or reset before its message. A
connection with too many of them is first refused calls, and then closed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Final
from urllib.parse import unquote

FAILED_CALL_BURST: Final = 128.0
"""Failed calls that one connection may make at once, and the same number again until it is
closed …"""

FAILED_CALLS_PER_SECOND: Final = 64.0
"""… and how many of them are added each second."""

KEYED_FACTOR: Final = 10.0
"""Times as many on a connection with an authenticated call: legitimate clients cancel calls,
too."""

UNIX: Final = "unix:"
"""Prefix of every peer on a Unix socket; those cannot be distinguished from each other."""


class Connection:
    """One connection, or all those on a Unix socket.

    Args:
        peer: As gRPC names it: "ipv4:192.0.2.1:4711".
        clock: Seconds that only grow.
    """

    __slots__ = (
        "_clock", "_credit", "_since", "calls", "closed", "keyed", "keyless_calls", "last_call",
        "name", "peer", "tenant",
    )  # fmt: skip

    def __init__(self, peer: str, clock: Callable[[], float] = monotonic) -> None:
        self.peer = peer
        self._clock = clock
        self.name = canonical(peer)
        self.keyed = False
        """Whether an authenticated call was made on it."""
        self.tenant: int | None = None
        """Of the last call with a key."""
        self.closed = False
        """Whether it was closed; calls that had arrived on it before are still to be refused."""
        self.calls = 0
        """Calls in progress."""
        self.keyless_calls = 0
        """Those of them that need no key."""
        self.last_call = self._since = clock()
        self._credit = FAILED_CALL_BURST

    @property
    def shared(self) -> bool:
        """Whether it represents all peers on a Unix socket."""
        return self.peer.startswith(UNIX)

    def charge(self) -> float:
        """Count a failed call; returns how many more are allowed: refuse below zero."""
        now = self._clock()
        earned = (now - self._since) * FAILED_CALLS_PER_SECOND * self._factor
        self._credit = min(FAILED_CALL_BURST * self._factor, self._credit + earned) - 1
        self._since = now
        return self._credit

    @property
    def abusive(self) -> bool:
        """Whether it continued in spite of refusals: it is to be closed."""
        return self._credit < -FAILED_CALL_BURST * self._factor and not self.shared

    @property
    def _factor(self) -> float:
        return KEYED_FACTOR if self.keyed else 1.0


class Connections:
    """The connections with calls, until they are known to have ended.

    Args:
        close: Ends the connection of a peer, by its canonical name.
        clock: See `Connection`.
    """

    def __init__(
        self, close: Callable[[str], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self._known: dict[str, Connection] = {}
        self._close = close
        self._clock = clock

    def of(self, peer: str) -> Connection:
        """The connection of a peer, as gRPC names it."""
        connection = self._known.get(peer)
        if connection is None:
            connection = self._known[peer] = Connection(peer, self._clock)
        return connection

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._known.values())

    def charge(self, connection: Connection) -> float:
        """`Connection.charge`, which also closes an abusive connection."""
        left = connection.charge()
        if connection.abusive and not connection.closed:
            self.close(connection)
        return left

    def close(self, connection: Connection) -> None:
        """Close it, unless it represents many."""
        if not connection.shared:
            connection.closed = True
            self._close(connection.name)

    def forget(self, ended: Iterable[Connection]) -> None:
        """Forget those of them that have no calls."""
        for connection in ended:
            if not connection.calls and not connection.shared:
                self._known.pop(connection.peer, None)


def canonical(peer: str) -> str:
    """A peer's name as this module compares it: "ipv6:[::1]:4711", without escapes and zones."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    host, _, port = rest.rpartition(":")
    return peer_name(host.removeprefix("[").removesuffix("]"), int(port))


def peer_name(host: str, port: int) -> str:
    """The canonical name of the peer with this address and port."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return f"ipv{address.version}:{address if address.version == 4 else f'[{address}]'}:{port}"
