"""The sockets of a server, to which gRPC gives no access.

gRPC accepts connections up to a limit, and does not report them. So the open files of the
process are examined: connections without an authenticated call are closed after a while,
and sooner when the limit is near; abusive ones are closed at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections import Counter, defaultdict
from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Final, TypeAlias

import structlog

from service.rpc.peers import Connection, Connections, peer_name

BoundAddress: TypeAlias = int | str
"""Where a socket is bound: a port, or the path of a Unix socket."""

MAX_CONNECTIONS: Final = 4096
"""At most so many connections by each transport, or as many as the limit on open files allows."""

RESERVED_FILES: Final = 256
"""Open files that the server needs in addition to connections."""

KEYLESS_SECONDS: Final = 60.0
"""How long a connection may stay open without an authenticated call."""

POLL_SECONDS: Final = 0.25
"""Between two examinations of the connections."""

_log = structlog.get_logger("palimpsest.rpc")


def bound_address(address: str, port: int) -> BoundAddress:
    """Where a server listens that was told `address` and got `port`."""
    if not address.startswith("unix:"):
        return port
    path = address.removeprefix("unix:")
    return path.removeprefix("//") if path.startswith("///") else path


def max_connections() -> int:
    """How many each transport may have, as the limit on open files allows it for two."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(64, min(MAX_CONNECTIONS, (files - RESERVED_FILES) // 2))


def close_all(addresses: Container[BoundAddress]) -> None:
    """Ends every connection that was accepted there, and accepts no more.

    What was written before still arrives; nothing does that is written after. So
    callers whose calls were not taken in hear from their own side that the connection
    is gone, which is UNAVAILABLE. gRPC, told to stop, resets such calls, and their
    callers hear CANCELLED, as if it had been they.
    """
    with contextlib.ExitStack() as copies:
        ended = []
        for number, sock in _sockets():
            copies.enter_context(sock)
            if _address(sock) not in addresses:
                continue
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                # gRPC would log an error if its listener failed: it gets one that is silent.
                with socket.socket(sock.family) as silent:
                    os.dup2(silent.fileno(), number, inheritable=False)
                sock.close()
            else:
                ended.append(sock)
        # Listeners first, or fast clients would connect again.
        for sock in ended:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class _Accepted:
    """A connection over TCP that was accepted.

    Args:
        number: Of its open file.
        peer: Canonical name.
        host: The peer's address.
        since: When it was first seen, by the monotonic clock.
    """

    number: int
    peer: str
    host: str
    since: float


class ConnectionMonitor:
    """Closes unauthenticated, idle and abusive connections.

    Args:
        addresses: Where the server listens; may grow.
        limit: How many connections gRPC accepts.
        keyless_seconds: How long one may stay open without an authenticated call.
    """

    def __init__(
        self,
        addresses: Container[BoundAddress],
        limit: int,
        keyless_seconds: float = KEYLESS_SECONDS,
    ) -> None:
        self._addresses = addresses
        self._limit = limit
        self._keyless_seconds = keyless_seconds
        self._accepted: dict[int, _Accepted | None] = {}
        self._closing: set[str] = set()
        # Of its own: requests keep the common threads busy, and those who send them are watched.
        self._thread = ThreadPoolExecutor(1, "palimpsest-connections")
        self.connections = Connections(self._close)

    def _close(self, peer: str) -> None:
        """At once if its socket is known, else at the next `poll`."""
        for one in self._accepted.values():
            if one is not None and one.peer == peer and _peer_of(one.number) == peer:
                _shut_down(one.number)
                return
        self._closing.add(peer)

    async def run(self) -> None:
        """Examine the connections periodically."""
        took = 0.0
        while True:
            # Thousands of connections take some milliseconds.
            await asyncio.sleep(max(POLL_SECONDS, took * 20))
            started = monotonic()
            try:
                await self.poll()
            except Exception:  # noqa: BLE001  (the next one may succeed)
                _log.exception("the connections cannot be looked at")
            took = monotonic() - started

    async def poll(self) -> None:
        """Examine the connections once, and close those that are to be closed."""
        before = list(self.connections)
        named, self._closing = self._closing, set()
        # At each file the system is asked about, any other thread may go first: the loop must not
        # wait for that.
        loop = asyncio.get_running_loop()
        self._accepted = await loop.run_in_executor(
            self._thread, self._accepted_sockets, self._accepted
        )
        accepted = [one for one in self._accepted.values() if one is not None]
        self._close_some(accepted, named)
        # A connection that was made meanwhile has not been seen.
        peers = {one.peer for one in accepted}
        self.connections.forget([one for one in before if one.name not in peers])

    def _close_some(self, accepted: list[_Accepted], named: set[str]) -> None:
        known = {connection.name: connection for connection in self.connections}
        keyed: list[tuple[_Accepted, Connection]] = []
        keyless: list[_Accepted] = []
        for one in accepted:
            connection = known.get(one.peer)
            if connection is not None and connection.keyed:
                keyed.append((one, connection))
            else:
                keyless.append(one)
        closing = {
            **_named(accepted, named, "it goes on with calls that come to nothing"),
            **self._keyless_to_close(keyless, len(accepted)),
        }
        closing |= self._idle_to_close(keyed, len(accepted) - len(closing))
        for one in accepted:
            if one.number in closing and _peer_of(one.number) == one.peer:
                _shut_down(one.number)
        for why, count in Counter(closing.values()).items():
            _log.info("connections closed", count=count, why=why)

    def _keyless_to_close(self, keyless: list[_Accepted], count: int) -> dict[int, str]:
        """Those open for too long, and the oldest ones when the limit is near."""
        now = monotonic()
        keyless.sort(key=lambda one: one.since)
        closing = {
            one.number: "nobody with a key called by it"
            for one in keyless
            if now - one.since > self._keyless_seconds
        }
        by_host: defaultdict[str, list[_Accepted]] = defaultdict(list)
        for one in keyless:
            by_host[one.host].append(one)
        share = self._limit // 4
        for group in by_host.values():
            for one in group[: max(0, len(group) - share)]:
                closing.setdefault(one.number, "one address has too many without a key")
        excess = count - len(closing) - self._limit * 3 // 4
        for one in keyless:
            if excess > 0 and one.number not in closing:
                closing[one.number] = "places run short"
                excess -= 1
        return closing

    def _idle_to_close(
        self, keyed: list[tuple[_Accepted, Connection]], count: int
    ) -> dict[int, str]:
        """When the limit is still near: the longest idle ones of the tenant with the most."""
        closing: dict[int, str] = {}
        excess = count - self._limit * 7 // 8
        if excess <= 0:
            return closing
        idle: defaultdict[int | None, list[tuple[float, int]]] = defaultdict(list)
        for one, connection in keyed:
            if not connection.calls:
                idle[connection.tenant].append((connection.last_call, one.number))
        for group in idle.values():
            group.sort(reverse=True)
        while excess > 0 and any(idle.values()):
            most = max(idle.values(), key=len)
            closing[most.pop()[1]] = "places run short"
            excess -= 1
        return closing

    def _accepted_sockets(self, before: dict[int, _Accepted | None]) -> dict[int, _Accepted | None]:
        """The open sockets; each is examined once. None: no accepted connection over TCP."""
        now = monotonic()
        found: dict[int, _Accepted | None] = {}
        for number in _open_files():
            try:
                status = os.fstat(number)
            except OSError:
                continue
            if not stat.S_ISSOCK(status.st_mode):
                continue
            # The system numbers sockets; the number of the open file is used again.
            identity = status.st_ino
            if identity in before:
                known = before[identity]
                if known is not None:
                    known.number = number
                found[identity] = known
            else:
                found[identity] = self._examine(number, now)
        return found

    def _examine(self, number: int, now: float) -> _Accepted | None:
        try:
            sock = socket.socket(fileno=os.dup(number))
        except OSError:
            return None
        with sock, contextlib.suppress(OSError):
            if sock.family not in (socket.AF_INET, socket.AF_INET6):
                return None
            if _address(sock) in self._addresses and not sock.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            ):
                host, port = sock.getpeername()[:2]
                return _Accepted(number, peer_name(host, port), host, now)
        return None


def _named(accepted: list[_Accepted], peers: set[str], why: str) -> dict[int, str]:
    return {one.number: why for one in accepted if one.peer in peers} if peers else {}


def _shut_down(number: int) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as sock:
        sock.shutdown(socket.SHUT_RDWR)


def _peer_of(number: int) -> str | None:
    """The peer of the open file's connection, if it is one."""
    try:
        with socket.socket(fileno=os.dup(number)) as sock:
            host, port = sock.getpeername()[:2]
            return peer_name(host, port)
    except (OSError, ValueError):
        return None


def _address(sock: socket.socket) -> BoundAddress | None:
    name = sock.getsockname()
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        return int(name[1])
    return name if isinstance(name, str) else None


def _open_files() -> list[int]:
    try:
        # The same on Linux and macOS.
        return [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208  (half the time)
    except OSError:
        return []


def _sockets() -> Iterator[tuple[int, socket.socket]]:
    """The open sockets of this process: their numbers, and copies to be closed."""
    for number in _open_files():
        with contextlib.suppress(OSError):
            # No copy of a file: closing it would let go of the locks a database has on it.
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                yield number, socket.socket(fileno=os.dup(number))
