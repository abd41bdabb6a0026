"""HTTP/1.1 on one connection: uvicorn's protocol, with the bounds that it leaves to proxies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias
from weakref import proxy

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from service.rpc.active_call import new_call_id
from service.rpc.peers import UNIX

MAX_HEAD_BYTES: Final = 16 * 1024
"""Of a request's line and headers; and of what comes within a body and is none of it."""

MAX_HEADERS: Final = 100
"""Each takes some hundred bytes in memory, however short it is."""

HEAD_SECONDS: Final = 10.0
"""How long a head may take to arrive, and how long a new connection may say nothing."""

KEEP_ALIVE_SECONDS: Final = 75
"""How long a connection may be idle between two requests."""

LINGER_SECONDS: Final = 2.0
"""How long a refused caller may say nothing before its connection is closed. What it still sends
is received and dropped: closing at once would reset the connection, and the answer would be lost
with it (RFC 9112, 9.6) …"""

MAX_LINGER_SECONDS: Final = 30.0
"""… for so long at most, …"""

MAX_LINGER_BYTES: Final = 64 * 1024 * 1024
"""… and so much."""

MAX_PIPELINED: Final = 100
"""Requests that wait, on their connection, for those before them."""

_MALFORMED: Final = (b"400 Bad Request", b"This is no HTTP/1.1 request")
_TOO_LARGE: Final = (
    b"431 Request Header Fields Too Large",
    b"The head of a request may have %d bytes and %d headers at most"
    % (MAX_HEAD_BYTES, MAX_HEADERS),
)
_TOO_MANY: Final = (
    b"429 Too Many Requests",
    b"At most %d requests may be sent before the first one is answered" % MAX_PIPELINED,
)

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
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._lingering = 0
        self._fault = _MALFORMED
        self._offered = False
        self._refusal = b""
        self._running: RequestResponseCycle | None = None
        self._task: asyncio.Task[None] | None = None
        self.peer = UNIX
        # uvicorn's annotation leaves out that there may have been no request.
        self.cycle: RequestResponseCycle | None = None  # type: ignore[assignment]

    # --- the connection --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        self.flow = _PipelineFlow(self)
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
        if self._running is not None:
            # uvicorn tells the last request that was received, which may wait for this one.
            self._running.disconnected = True
            self._running.message_event.set()
        if self._task is not None:
            self._task.cancel()
        # What refers to itself stays until the garbage collector comes, which is seldom.
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        self.headers = []
        self.cycle = self._running = self._task = None
        del self.scope

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            self._lingering += len(data)
            if self._lingering > MAX_LINGER_BYTES:
                self.transport.abort()
            return
        if self._refusal:
            return
        self._unset_keepalive_if_required()
        self._received = len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse()
            return
        if self._in_head or self.body_is_arriving:
            # The parser keeps a header, also one after a body, until its end.
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > MAX_HEAD_BYTES:
                self._fault = _TOO_LARGE
                self._refuse()
                return
        if self.transport.is_closing():
            return
        if self._in_head or not self._answering:
            if self._timer is None:
                self._arm()
        else:
            self._disarm()

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser does not look for a body after the offer of another protocol. None
                # is accepted, so that it is read again without (RFC 9110, 7.8).
                data = self._head_without_offer() + data[upgrade.args[0] :]
            else:
                return

    def _head_without_offer(self) -> bytes:
        self._offered = False
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        lines += [b"%s: %s" % (n, v) for n, v in self.headers if n != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    # --- what is bounded -------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._unfinished_bytes = -self._received

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if not self._in_head:
            return  # It stands after the body, and nothing here is said there.
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            self._fault = _TOO_LARGE
            raise ValueError("a request has too many headers")

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._fault = _TOO_LARGE
            raise ValueError("the head of a request is too large")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unfinished_bytes = -self._received
        if self.parser.should_upgrade():
            self._offered = True
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            self._fault = _TOO_MANY
            raise ValueError("too many requests wait for their turn")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._offered:
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        self._unfinished_bytes = -self._received
        super().on_body(body)

    def on_response_complete(self) -> None:
        self._task = self._running = None
        super().on_response_complete()
        if self._refusal and self._running is None:
            self._send_refusal()

    def _arm(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._timer = None
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
        self._task, self._running = task, cycle

    def complete(
        self,
        cycle: RequestResponseCycle,
        status: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
    ) -> None:
        """Send an answer in one piece: what two messages to `cycle.send` do, at less cost.

        Args:
            cycle: Of the request, whose answer has not begun.
            status: Of the answer.
            headers: Of the answer, less content-length; `connection` may be "close".
            body: Left out where the request is HEAD.
        """
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        if status not in (204, 304):
            lines.append(f"content-length: {len(body)}\r\n")
        if ("connection", "close") in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            lines.append("connection: close\r\n")
        text = "".join(lines)
        if text.count("\n") + text.count("\r") != 2 * len(lines):
            raise RuntimeError("a header of an answer has a line break")
        head = [STATUS_LINE[status]]
        for name, value in cycle.default_headers:
            head += (name, b": ", value, b"\r\n")
        head += (text.encode("latin-1"), b"\r\n")
        if cycle.scope["method"] != "HEAD":
            head.append(body)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self.transport.write(b"".join(head))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def _refuse(self) -> None:
        """Answer that what was received is no request, after those before it, and close."""
        status, text = self._fault
        body = b'{"error":{"code":%s,"status":"INVALID_ARGUMENT","message":"%s","details":[]}}' % (
            status[:3],
            text,
        )
        self._refusal = (
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"x-request-id: %s\r\nx-should-retry: false\r\nconnection: close\r\n\r\n%s"
            % (status, len(body), new_call_id().encode(), body)
        )
        self._disarm()
        broken = self.cycle if self.body_is_arriving else None
        if broken is not None and broken is not self._running:
            # It waits for others; nothing of it has been done.
            self.pipeline.popleft()
        elif broken is not None:
            # Its body has no end: it is cancelled, and this is its answer.
            broken.disconnected = True
            broken.message_event.set()
            self._running = None
            if broken.response_started:
                self._refusal = b""
                self.linger()
                return
        if self._running is None:
            self._send_refusal()

    def _send_refusal(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._refusal)
            self.linger()

    def linger(self) -> None:
        """Close the connection when the caller has, or after a while."""
        if self._lingering or self.transport.is_closing():
            return
        self._lingering = 1
        self._disarm()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        until = self.loop.time() + MAX_LINGER_SECONDS
        self._timer = self.loop.call_later(LINGER_SECONDS, self._lingered, 1, until)

    def _lingered(self, before: int, until: float) -> None:
        if self._lingering == before or self.loop.time() >= until:
            self.transport.abort()
            return
        self._timer = self.loop.call_later(LINGER_SECONDS, self._lingered, self._lingering, until)

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


class _PipelineFlow(FlowControl):
    """Receives nothing while requests wait for their turn, or each answer would add to them."""

    def __init__(self, protocol: HttpProtocol) -> None:
        super().__init__(protocol.transport)
        self._pipeline = protocol.pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class _Lingering:
    """A transport that lingers where closing it would reset the connection."""

    __slots__ = ("_protocol", "_transport")

    def __init__(self, transport: Any, protocol: HttpProtocol) -> None:
        self._transport = transport
        # Not one that would keep the protocol, which has this.
        self._protocol = proxy(protocol)

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
