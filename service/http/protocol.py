"""HTTP/1.1 on one connection: uvicorn's protocol, with the bounds that it leaves to proxies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.rpc.peers import UNIX

MAX_HEAD_BYTES: Final = 16 * 1024
"""Of a request's line and headers."""

HEAD_SECONDS: Final = 10.0
"""How long a head may take to arrive, and how long a new connection may say nothing."""

KEEP_ALIVE_SECONDS: Final = 75
"""How long a connection may be idle between two requests."""

LINGER_SECONDS: Final = 2.0
"""How long what a refused caller still sends is received and dropped. Closing at once would
reset the connection, and the answer would be lost with it (RFC 9112, 9.6)."""

_LINGER_BYTES: Final = 64 * 1024 * 1024

Application: TypeAlias = Callable[["HttpProtocol", RequestResponseCycle], Awaitable[None]]


class Shared:
    """What all connections of a server share.

    Args:
        application: Answers a request.
        max_connections: Those beyond are closed as soon as they are accepted.
    """

    def __init__(self, application: Application, max_connections: int) -> None:
        self.application = application
        self.max_connections = max_connections
        self.config = Config(
            _unused,
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self.state = ServerState()


async def _unused(scope: Any, receive: Any, send: Any) -> None:
    """Requests go to `Shared.application`, which is given the connection as well.

    With the parameters of ASGI: what can be called without any is taken for a factory, with a
    warning.
    """


class HttpProtocol(HttpToolsProtocol):
    """One connection. Requests on it are answered in order.

    Args:
        shared: What it shares with the others.
    """

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared.config, shared.state, {})
        self._shared = shared
        # Nothing may follow the last request of a connection: it could be taken for another.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self._in_head = False
        self._head_bytes = 0
        self._unfinished_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._lingering = 0
        self._too_large = False
        self._task: asyncio.Task[None] | None = None
        self.peer = UNIX
        # uvicorn's annotation leaves out that there may have been no request.
        self.cycle: RequestResponseCycle | None = None  # type: ignore[assignment]

    # --- the connection --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        if len(self.connections) > self._shared.max_connections:
            self.transport.abort()
            return
        if self.client is not None:
            host, port = self.client[:2]
            self.peer = f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            self._lingering += len(data)
            if self._lingering > _LINGER_BYTES:
                self.transport.abort()
            return
        if self._in_head:
            # The parser keeps a header that has no end, and tells of it only then.
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > MAX_HEAD_BYTES:
                self._too_large = True
                self.send_400_response("")
                return
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head or not self._answering:
            if self._head_timer is None:
                self._arm()
        else:
            self._disarm()

    # --- what is bounded -------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._unfinished_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._too_large = True
            raise ValueError("the head of a request is too large")

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self._task = None
        super().on_response_complete()

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._answering:
            self._arm()
        else:
            self.transport.close()

    # --- requests ----------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ARG002
        async def application(*_: Any) -> None:
            await self._shared.application(self, cycle)

        task = self.loop.create_task(cycle.run_asgi(application))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._task = task

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what is no request, and close the connection."""
        status, text = b"400 Bad Request", b"This is no HTTP/1.1 request"
        if self._too_large:
            status = b"431 Request Header Fields Too Large"
            text = b"The head of a request may have %d bytes at most" % MAX_HEAD_BYTES
        body = b'{"error":{"code":%s,"status":"INVALID_ARGUMENT","message":"%s"}}' % (
            status[:3],
            text,
        )
        if not self._answering:
            self.transport.write(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"x-should-retry: false\r\nconnection: close\r\n\r\n%s" % (status, len(body), body)
            )
        self.linger()

    def linger(self) -> None:
        """Close the connection when the caller has, or after a moment."""
        if self._lingering or self.transport.is_closing():
            return
        self._lingering = 1
        self._disarm()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    @property
    def _answering(self) -> bool:
        """Whether a request is in progress."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def body_is_arriving(self) -> bool:
        """Whether not all of the last request has been received."""
        return self.cycle is not None and self.cycle.more_body

    @property
    def lingering(self) -> bool:
        return self._lingering > 0


class _Lingering:
    """A transport that lingers where closing it would reset the connection."""

    __slots__ = ("_protocol", "_transport")

    def __init__(self, transport: Any, protocol: HttpProtocol) -> None:
        self._transport = transport
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        if self._protocol.body_is_arriving:
            self._protocol.linger()
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        return self._protocol.lingering or bool(self._transport.is_closing())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
