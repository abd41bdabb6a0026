"""Which connections are closed, and which stay."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from service.rpc.connections import ConnectionMonitor
from service.rpc.peers import FAILED_CALL_BURST, KEYED_FACTOR, canonical, peer_name

LONG = 3600.0


class Connected:
    """A listener, and connections to it that were accepted in this process."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
        self.port: int = self._listener.getsockname()[1]

    def connect(self) -> tuple[str, socket.socket]:
        """The name of a new peer, as gRPC has it, and its end."""
        end = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))
        self._stack.enter_context(self._listener.accept()[0])
        end.setblocking(False)
        return f"ipv4:127.0.0.1:{end.getsockname()[1]}", end


@pytest.fixture
def connected() -> Iterator[Connected]:
    with ExitStack() as stack:
        yield Connected(stack)


def closed(end: socket.socket) -> bool:
    try:
        return end.recv(1) == b""
    except BlockingIOError:
        return False


def monitor(connected: Connected, limit: int = 1000, seconds: float = LONG) -> ConnectionMonitor:
    return ConnectionMonitor({connected.port}, limit, seconds)


async def test_one_without_a_key_is_closed_after_a_while(connected: Connected) -> None:
    watched = monitor(connected, seconds=-1)
    _, silent = connected.connect()
    peer, keyed = connected.connect()
    watched.connections.of(peer).keyed = True
    await watched.poll()
    assert (closed(silent), closed(keyed)) == (True, False)


async def test_one_without_a_key_stays_until_then(connected: Connected) -> None:
    watched = monitor(connected)
    _, silent = connected.connect()
    await watched.poll()
    await watched.poll()
    assert not closed(silent)


async def test_the_oldest_without_a_key_make_room(connected: Connected) -> None:
    watched = monitor(connected, limit=16)
    peer, first = connected.connect()
    watched.connections.of(peer).keyed = True
    silent = []
    for _ in range(20):
        silent.append(connected.connect()[1])
        await watched.poll()
    gone = [closed(end) for end in silent]
    # An address may have a quarter of the places for those without a key.
    assert gone == [True] * 16 + [False] * 4
    assert not closed(first)


async def test_idle_ones_of_the_tenant_with_the_most_make_room(connected: Connected) -> None:
    watched = monitor(connected, limit=16)
    ends = {}
    for tenant, count in ((1, 12), (2, 4)):
        for number in range(count):
            peer, end = connected.connect()
            connection = watched.connections.of(peer)
            connection.keyed, connection.tenant = True, tenant
            connection.last_call = float(number)
            connection.calls = int(tenant == 1 and number == 0)
            ends[tenant, number] = end
    await watched.poll()
    gone = {name for name, end in ends.items() if closed(end)}
    assert gone == {(1, 1), (1, 2)}, "not the longest idle of the tenant that has the most"


async def test_one_that_floods_is_closed_at_once(connected: Connected) -> None:
    watched = monitor(connected)
    peer, flooding = connected.connect()
    _, other = connected.connect()
    await watched.poll()
    connection = watched.connections.of(peer)
    charges = 0
    while not connection.closed:
        watched.connections.charge(connection)
        charges += 1
        assert charges < 10 * FAILED_CALL_BURST
    assert charges >= 2 * FAILED_CALL_BURST
    assert (closed(flooding), closed(other)) == (True, False)


def test_callers_with_a_key_may_give_up_more_calls(connected: Connected) -> None:
    watched = monitor(connected)
    peer, _ = connected.connect()
    connection = watched.connections.of(peer)
    connection.keyed = True
    for _ in range(int(FAILED_CALL_BURST * (KEYED_FACTOR - 1))):
        watched.connections.charge(connection)
    assert not connection.closed


def test_a_unix_socket_is_never_closed_for_one_of_its_peers(connected: Connected) -> None:
    watched = monitor(connected)
    shared = watched.connections.of("unix:")
    for _ in range(int(10 * FAILED_CALL_BURST)):
        watched.connections.charge(shared)
    assert not shared.closed


async def test_what_has_ended_is_forgotten(connected: Connected) -> None:
    watched = monitor(connected)
    peer, _ = connected.connect()
    watched.connections.of(peer)
    await watched.poll()
    assert [connection.peer for connection in watched.connections] == [peer]
    busy = watched.connections.of("ipv4:192.0.2.1:1")
    busy.calls = 1
    await watched.poll()
    assert busy in list(watched.connections)


@pytest.mark.parametrize(
    ("grpc", "host", "port"),
    [
        ("ipv4:127.0.0.1:4711", "127.0.0.1", 4711),
        ("ipv6:%5B::1%5D:4711", "::1", 4711),
        ("ipv6:[2001:db8::7]:1", "2001:0db8::7", 1),
        ("ipv4:10.0.0.1:80", "::ffff:10.0.0.1", 80),
        ("ipv6:%5Bfe80::1%25eth0%5D:9", "fe80::1%eth0", 9),
    ],
)
def test_peers_have_one_name_however_they_are_told(grpc: str, host: str, port: int) -> None:
    assert canonical(grpc) == peer_name(host, port)
