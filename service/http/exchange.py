"""One request of HTTP, as the policy of calls sees it; see `rpc.calls.Exchange`."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.core.errors import PalimpsestError, Reason, Violation, invalid
from service.http.endpoints import HttpAnswer
from service.http.native import event
from service.http.protocol import HttpProtocol
from service.rpc.active_call import ActiveCall, new_call_id
from service.rpc.call_runner import MAX_MESSAGE_BYTES, READ_SECONDS, too_large
from service.rpc.calls import bearer
from service.rpc.keyless_calls import late
from service.rpc.origin import Origin, origin_of
from service.rpc.peers import UNIX
from service.rpc.to_thread import MANY_BYTES, to_thread_if

_GRPC_TIMEOUT: Final = re.compile(r"(\d{1,8})([HMSmun])")
_TIMEOUTS: Final = frozenset(
    ("grpc-timeout", "connect-timeout-ms", "x-stainless-read-timeout", "x-stainless-timeout")
)
_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_MAX_QUERY_FIELDS: Final = 200
_MAX_KEY: Final = 255
_IDEMPOTENCY_KEYS: Final = uuid.UUID("8d4cb19c-6d0c-4a3c-8a75-6f0f3f6f5a11")
"""The namespace of request ids that are made of keys which are no UUIDs (RFC 9562, 5.5)."""


class DisconnectedError(Exception):
    """The caller's connection has ended."""


class HttpExchange:
    """A request and its answer.

    Args:
        connection: On which it came.
        cycle: uvicorn's own object for it.
        failed: Makes the answer of an error of the call with an id.
    """

    answered: tuple[type[BaseException], ...] = ()
    gone: tuple[type[BaseException], ...] = (DisconnectedError,)

    def __init__(
        self,
        connection: HttpProtocol,
        cycle: RequestResponseCycle,
        failed: Callable[[HttpExchange, PalimpsestError, str], HttpAnswer],
    ) -> None:
        scope = cycle.scope
        self.verb = scope["method"]
        self.raw_path = scope["raw_path"]
        self.query_string = scope["query_string"]
        # Of repeated headers the first counts; `values_of` has all.
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            self.headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        self._connection = connection
        self._cycle = cycle
        self._failed = failed
        self._sent: list[Callable[[], None]] = []
        self._started = asyncio.get_running_loop().time()
        self._timeout = _timeout(self.headers) if _TIMEOUTS.intersection(self.headers) else None
        self._call_id = ""
        self._overdue: asyncio.TimerHandle | None = None
        self.stream_started = False
        self.stream_headers: Sequence[tuple[str, str]] = ()
        """Of a stream of events, beyond those that all have; to be set before it begins."""

    # --- the caller --------------------------------------------------------------

    def peer(self) -> str:
        return self._connection.peer

    def credentials(self) -> str | None:
        return bearer(self.headers.get("authorization"))

    def values_of(self, name: str) -> Sequence[str]:
        if name not in self.headers:
            return ()
        wanted = name.encode("ascii")
        headers = self._cycle.scope["headers"]
        # White space around a value is no part of it (RFC 9110, 5.5); the parser leaves some.
        return [
            value.strip(b" \t").decode("latin-1") for given, value in headers if given == wanted
        ]

    def origin(self) -> Origin:
        return origin_of(self.headers.items())

    def time_remaining(self) -> float | None:
        if self._timeout is None:
            return None
        return self._started + self._timeout - asyncio.get_running_loop().time()

    def began(self, active: ActiveCall) -> None:
        self._call_id = active.call_id
        left = self.time_remaining()
        if left is not None:
            self._overdue = asyncio.get_running_loop().call_later(
                max(0.0, left), lambda: active.end(deadline_exceeded())
            )

    def end_deadline(self) -> None:
        """The call has ended."""
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    @property
    def is_tcp(self) -> bool:
        return self._connection.peer != UNIX

    @property
    def hung_up(self) -> bool:
        """Whether the caller has ended the connection."""
        return self._cycle.disconnected

    @property
    def has_body(self) -> bool:
        return self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers

    def query(self) -> dict[str, list[str]]:
        """The query string; raises INVALID_REQUEST for one that is malformed."""
        if not self.query_string:
            return {}
        try:
            return parse_qs(
                self.query_string.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_QUERY_FIELDS,
            )
        except ValueError:
            raise invalid(
                [Violation("", f"the query must be UTF-8 of {_MAX_QUERY_FIELDS} fields at most")]
            ) from None

    def request_id(self) -> str:
        """The UUID that Idempotency-Key is, or stands for; "" without one."""
        key = self.headers.get("idempotency-key", "").strip().strip('"')
        if not key:
            return ""
        if len(key) > _MAX_KEY:
            raise invalid([Violation("Idempotency-Key", f"may have {_MAX_KEY} characters at most")])
        try:
            return (
                str(uuid.UUID(key)) if len(key) == 36 else str(uuid.uuid5(_IDEMPOTENCY_KEYS, key))
            )
        except ValueError:
            return str(uuid.uuid5(_IDEMPOTENCY_KEYS, key))

    def etag(self) -> str:
        """That of If-Match, without its quotes; "" without one."""
        return self.headers.get("if-match", "").strip().removeprefix("W/").strip('"')

    # --- the request ---------------------------------------------------------------

    def check_size(self) -> None:
        """Raise MESSAGE_TOO_LARGE for a body that says that it is."""
        length = self.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > MAX_MESSAGE_BYTES:
            raise too_large()

    def arrived(self) -> bytes | None:
        """The body, if all of it is here already."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    async def read(self, active: ActiveCall, limit: float) -> bytes:
        """The body, which must arrive within so many seconds."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (for the type checker)
        overdue = asyncio.get_running_loop().call_later(limit, lambda: active.end(late(limit)))

        def refuse(_: PalimpsestError) -> None:
            task.cancel()

        active.refuse = refuse
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                message: Mapping[str, Any] = await self._cycle.receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                part = message["body"]
                size += len(part)
                if size > MAX_MESSAGE_BYTES:
                    raise too_large()
                if not message["more_body"]:
                    return part if not parts else b"".join((*parts, part))
                parts.append(part)
        finally:
            overdue.cancel()
            active.refuse = None

    # --- the answer ----------------------------------------------------------------

    def on_sent(self, callback: Callable[[], None]) -> None:
        self._sent.append(callback)

    async def refuse(self, failure: PalimpsestError, call_id: str) -> HttpAnswer:
        return self._failed(self, failure, call_id)

    async def drop(self) -> HttpAnswer:
        return HttpAnswer(503, headers=(("connection", "close"), ("x-request-id", new_call_id())))

    async def send(self, answer: HttpAnswer) -> None:
        """Send a whole answer; the connection ends with it if the body has not arrived.

        Returns when a counted one has been read, but for what fits into buffers.
        """
        headers = list(answer.headers)
        if answer.body:
            headers.append(("content-type", answer.content_type))
        if self._cycle.more_body:
            headers.append(("connection", "close"))
        if self._sent or self._connection.flow.write_paused:
            await self._send_in_steps(answer, headers)
        elif self._cycle.disconnected:
            raise DisconnectedError
        else:
            self._connection.complete(self._cycle, answer.status, headers, answer.body)

    async def _send_in_steps(self, answer: HttpAnswer, headers: list[tuple[str, str]]) -> None:
        if answer.status not in (204, 304):
            headers.append(("content-length", str(len(answer.body))))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        try:
            await self._cycle.send(
                {"type": "http.response.start", "status": answer.status, "headers": raw}
            )
            await self._write(answer.body, more=bool(self._sent))
            if self._sent:
                await self._write(b"", more=False)
        finally:
            for callback in self._sent:
                callback()

    async def write(self, message: Any) -> None:
        """Send a message as an event of a stream, which begins with the first one."""
        many = message.ByteSize() >= MANY_BYTES
        await self.write_event(await to_thread_if(many, event, message))

    async def write_event(self, text: bytes) -> None:
        """Send text of a stream of events."""
        if not self.stream_started:
            self.stream_started = True
            headers = [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),
                (b"x-request-id", self._call_id.encode()),
                *((n.encode("latin-1"), v.encode("latin-1")) for n, v in self.stream_headers),
            ]
            await self._cycle.send(
                {"type": "http.response.start", "status": 200, "headers": headers}
            )
        await self._write(text, more=True)

    async def end_stream(self) -> None:
        await self._write(b"", more=False)

    async def _write(self, body: bytes, *, more: bool) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._cycle.send(
                    {"type": "http.response.body", "body": body, "more_body": more}
                )
        except TimeoutError:
            self._connection.transport.abort()
            raise DisconnectedError from None
        if self._cycle.disconnected:
            raise DisconnectedError


def _timeout(headers: Mapping[str, str]) -> float | None:
    """The caller's deadline in seconds, or how long its library waits for an answer."""
    if match := _GRPC_TIMEOUT.fullmatch(headers.get("grpc-timeout", "")):
        return int(match[1]) * _UNITS[match[2]]
    if (connect := headers.get("connect-timeout-ms", "")).isdecimal():
        return int(connect[:10]) / 1000
    for name in ("x-stainless-read-timeout", "x-stainless-timeout"):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if 0 < seconds < 86_400:
            return seconds
    return None


def deadline_exceeded() -> PalimpsestError:
    return PalimpsestError(
        Reason.DEADLINE_EXCEEDED, "The call took longer than its caller waits for it"
    )
