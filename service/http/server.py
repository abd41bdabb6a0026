"""The HTTP server: its sockets, TLS, and end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import stat
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Final

from service.http import health, keyless_pages, native, supermemory
from service.http.app import CONNECT, ErrorFormat, HttpApp, WebRules
from service.http.endpoints import Endpoint
from service.http.invoker import Invoker
from service.http.mcp import Mcp
from service.http.protocol import HttpProtocol, Shared
from service.rpc.connections import BoundAddress, bound_address, max_connections
from service.rpc.server import BindError, Server
from service.rpc.tls import ServerTls

BACKLOG: Final = 2048

_ANSWER_SECONDS: Final = 1.0
"""How long the last answers have to leave before the connections are ended."""

_SUPERMEMORY: Final = ErrorFormat((b"/v3/", b"/v4/"), supermemory.answer_for)


class HttpServer:
    """Serves over HTTP what a gRPC server serves, in the running event loop.

    Args:
        server: With the methods, and the policy that both share.
        origins: Of web pages that may call.
        no_auth: Whether callers need no keys.
        metrics: The endpoint of the server's metrics; None: there is none.
    """

    def __init__(
        self,
        server: Server,
        origins: Sequence[str] = (),
        *,
        no_auth: bool = False,
        metrics: Endpoint | None = None,
    ) -> None:
        self._grpc = server
        self._mcp = Mcp()
        invoker = Invoker(server.methods, server.numbered, server.runner)
        self._app = HttpApp(
            [
                *native.endpoints(server.methods),
                *supermemory.ENDPOINTS,
                *keyless_pages.endpoints(),
                *health.endpoints(lambda: server.is_serving),
                *self._mcp.endpoints(),
                *(() if metrics is None else (metrics,)),
            ],
            invoker,
            (CONNECT, _SUPERMEMORY),
            WebRules(origins, loopback_only=no_auth),
        )
        self._shared = Shared(self._app.answer, max_connections())
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLContext | None = None
        self._listener: asyncio.Server | None = None
        self._dating: asyncio.Task[None] | None = None
        self._path: Path | None = None

    def bind(self, address: str, tls: ServerTls | None = None) -> BoundAddress:
        """Listen on `address` from `start` on, as `Server.bind` does; raises BindError."""
        try:
            if address.startswith("unix:"):
                self._path = Path(str(bound_address(address, 0)))
                self._socket = _unix_socket(self._path)
                port = 0
            else:
                host, _, text = address.rpartition(":")
                self._socket = _tcp_socket(host.removeprefix("[").removesuffix("]"), int(text))
                port = int(self._socket.getsockname()[1])
        except OSError as error:
            raise BindError(
                f"cannot listen on {address} for HTTP: is it in use? "
                "Choose another address with --http, or none with --http ''"
            ) from error
        if tls is not None:
            self._tls = tls.context()
        bound = bound_address(address, port)
        self._grpc.watch_connections(bound)
        return bound

    async def start(self) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        assert self._socket is not None  # noqa: S101  (bound before)
        self._dating = asyncio.create_task(self._keep_date())
        self._listener = await loop.create_server(
            lambda: HttpProtocol(self._shared),
            sock=self._socket,
            ssl=self._tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=10 if self._tls is not None else None,
        )

    async def _keep_date(self) -> None:
        state = self._shared.state
        while True:
            state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(1)

    async def close(self) -> None:
        """Accept nothing more, and end all connections; their calls have been answered."""
        if self._listener is not None:
            self._listener.close()
        elif self._socket is not None:
            self._socket.close()
        if self._dating is not None:
            self._dating.cancel()
        for connection in list(self._shared.state.connections):
            connection.shutdown()
        if self._shared.state.tasks:
            await asyncio.wait(self._shared.state.tasks, timeout=_ANSWER_SECONDS)
        for connection in list(self._shared.state.connections):
            connection.transport.abort()
        await self._mcp.stop()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _tcp_socket(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # At once, so that a second server hears that the address is in use.
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _unix_socket(path: Path) -> socket.socket:
    """A socket at a path, in place of one that no server listens on any more."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                if probe.connect_ex(str(path)) == 0:
                    raise OSError("another server listens there")
            path.unlink()
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(str(path))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
