"""The gRPC server: addresses, health, and an orderly end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2

from service.core.model import Principal
from service.ports.search import Searcher
from service.ports.store import Store
from service.rpc.call_monitor import CallMonitor
from service.rpc.call_runner import MAX_MESSAGE_BYTES, READ_SECONDS, CallRunner
from service.rpc.connections import (
    BoundAddress,
    ConnectionMonitor,
    bound_address,
    close_all,
    max_connections,
)
from service.rpc.contract import SERVICE_NAMES
from service.rpc.methods import ReadOffloader, offloaded, register
from service.rpc.numbered import NumberedLists
from service.rpc.policy import CallPolicy
from service.rpc.servicers import methods_of
from service.rpc.tls import ServerTls
from service.runtime.fairness import RecentDemand
from service.runtime.tenant_turns import TenantTurns

_log = structlog.get_logger("palimpsest.rpc")

_OPTIONS: Final = (
    # Two servers on one port would share its calls without a word.
    ("grpc.so_reuseport", 0),
    # A little more than is allowed, so that most messages that are too large get
    # this service's own answer instead of gRPC's.
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES + 1024 * 1024),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 1024),
    # Calls that have not been admitted yet. When there are more, gRPC drops some of them at
    # random, and their callers get CANCELLED; with this limit most of a flood is refused.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    # What counts is the size after decompression, which gRPC does not bound: none is accepted.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # Measuring the network lets gRPC receive megabytes of messages that are not read yet.
    ("grpc.http2.bdp_probe", 0),
    # Connections that do not begin to speak HTTP/2, or TLS, are closed after it.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_metadata_size", 16 * 1024),
    # Ordinary clients ping every 30 s while idle; gRPC's own limit is 5 minutes.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)

_HEALTH_SECONDS: Final = 1.0
"""How long telling watchers of health may hold up the end of the server."""

_ANSWER_SECONDS: Final = 1.0
"""How long telling callers that their calls were cut off may take."""

_FAREWELL_SECONDS: Final = 0.1
"""How long the last answers have to leave before the connections are ended."""

_SETTLE_SECONDS: Final = 5.0
"""How long handlers may take to clean up after the grace is over."""


class BindError(Exception):
    """An address cannot be listened on; the text says which."""


class Server:
    """Serves a store. To be made, and used, inside a running event loop.

    Args:
        store: What is served; it must be open, and stay so until `drain` returns.
        searcher: Finds things in it.
        offloader: Answers calls that look through much in another process. None: here.
        default_principal: The principal of every caller. None: callers need keys.
        call_monitor: Is told of the calls of all transports; None: only failures are logged.
        demand: Where the tenants' calls are noted; None: nowhere else than here.
        read_seconds: How long a caller may leave unread what was sent to it.
    """

    def __init__(
        self,
        store: Store,
        searcher: Searcher,
        *,
        offloader: ReadOffloader | None = None,
        default_principal: Principal | None = None,
        call_monitor: CallMonitor | None = None,
        demand: RecentDemand | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        limit = max_connections()
        self._addresses: set[BoundAddress] = set()
        self._watched: set[BoundAddress] = set()
        self._monitor = ConnectionMonitor(self._watched, limit)
        self._policy = CallPolicy(
            store.keys,
            default_principal,
            self._monitor.connections,
            call_monitor,
            TenantTurns(demand=demand),
        )
        self._endings: list[Callable[[], Awaitable[None]]] = []
        self.runner = CallRunner(self._policy, read_seconds)
        """Runs the calls of all transports."""
        self._health = health.aio.HealthServicer()
        connections = ("grpc.max_allowed_incoming_connections", limit)
        self._server = grpc.aio.server(options=(*_OPTIONS, connections))
        self._upkeep: list[asyncio.Task[None]] = []
        self.is_serving = False
        """What health says."""
        methods = methods_of(store, searcher)
        self.methods = methods if offloader is None else offloaded(methods, offloader)
        """Those of the contract."""
        self.numbered = NumberedLists(store)
        """Lists by page number, which are not in the contract."""
        register(self._server, self.methods, self.runner, self._health)

    def bind(self, address: str, tls: ServerTls | None = None) -> int:
        """Listens on `address`; before `start`.

        Args:
            address: "host:port", where port 0 takes a free one, or "unix:path".
            tls: None serves plaintext.

        Returns:
            The port; for a path, a number without meaning.

        Raises:
            BindError: The address is in use or malformed.
        """
        if address.startswith("unix:") and _answers(address.removeprefix("unix:")):
            raise BindError(f"cannot listen on {address}: another server does")
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, tls.credentials())
        except RuntimeError as error:
            raise BindError(f"cannot listen on {address}: is it in use?") from error
        bound = bound_address(address, port)
        self._addresses.add(bound)
        self.watch_connections(bound)
        return port

    def watch_connections(self, address: BoundAddress) -> None:
        """Close connections to this address that come to nothing, as it is done with gRPC's."""
        self._watched.add(address)

    def before_end(self, end: Callable[[], Awaitable[None]]) -> None:
        """Call this in `drain`, when calls have been answered: it ends another transport."""
        self._endings.append(end)

    @property
    def calls_in_progress(self) -> int:
        """How many calls are being served, streams included."""
        return self._policy.in_progress

    async def start(self) -> None:
        """Accepts calls; health says NOT_SERVING until `serving`."""
        await self._set_health(False)
        await self._server.start()
        self._upkeep = [
            asyncio.create_task(self._monitor.run()),
            asyncio.create_task(self._policy.recheck_forever()),
        ]

    async def serving(self) -> None:
        """Health says SERVING, for the server and each of its services."""
        await self._set_health(True)

    async def _set_health(self, serving: bool) -> None:
        self.is_serving = serving
        answer = health_pb2.HealthCheckResponse
        status = answer.SERVING if serving else answer.NOT_SERVING
        for name in ("", *SERVICE_NAMES):
            await self._health.set(name, status)

    async def abandon(self) -> None:
        """Free the addresses of a server that could not be started."""
        for end in self._endings:
            await end()
        close_all(self._addresses)
        await self._server.stop(None)

    async def wait(self) -> None:
        """Returns when the server has stopped."""
        await self._server.wait_for_termination()

    async def drain(self, grace: float) -> None:
        """Stops: no new calls, streams end, calls in progress get `grace` seconds.

        Returns when no handler runs any more, so that the store can be closed.
        """
        self.is_serving = False
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                # Waits for watchers to have been told, and one of them may not read.
                await self._health.enter_graceful_shutdown()
        except TimeoutError:
            _log.warning("a watcher of health does not read")
        self._policy.drain()
        if not await self._idle_within(grace):
            self._policy.end_all()
            await self._idle_within(_ANSWER_SECONDS)
        for task in self._upkeep:
            task.cancel()
        self._policy.stop_pacing_refusals()
        await asyncio.sleep(_FAREWELL_SECONDS)
        for end in self._endings:
            await end()
        close_all(self._addresses)
        # A second signal, which ends this wait, must not end the stop half-way.
        await asyncio.shield(self._server.stop(None))
        if not await self._idle_within(_SETTLE_SECONDS):
            _log.warning("calls are still running", count=self.calls_in_progress)
        _log.info("drained", refused=self._policy.refused)

    async def _idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._policy.idle()
        except TimeoutError:
            return False
        return True


def _answers(path: str) -> bool:
    """Whether a server listens on this socket; gRPC would replace it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except OSError:
            return False
        return True
