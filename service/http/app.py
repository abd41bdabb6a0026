"""Answers requests: each is one call under the policy, whatever path it came by."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.core.errors import PalimpsestError, Reason
from service.http import native
from service.http.endpoints import Endpoint, HttpAnswer, HttpRequest
from service.http.errors import HttpError, unsupported_media, verb_not_allowed
from service.http.exchange import DisconnectedError, HttpExchange
from service.http.invoker import Invoker
from service.http.protocol import HttpProtocol
from service.http.routes import Routes
from service.rpc.access import Access
from service.rpc.active_call import ActiveCall, new_call_id
from service.rpc.calls import RpcCall
from service.rpc.failures import failure_of

JSON_FACTOR: Final = 3
"""Times as much memory as of a message on the wire that JSON takes while it is read."""

COMMENT_SECONDS: Final = 15.0
"""Between two comments on a stream of events, so that proxies keep it open."""

_UNKNOWN: Final = "unknown path"


@dataclass(frozen=True, slots=True)
class ErrorFormat:
    """How paths with these prefixes answer errors.

    Args:
        prefixes: Of the paths.
        answer: Makes the answer of an error, of the call with this id; the last argument says
            whether the request had If-Match.
    """

    prefixes: tuple[bytes, ...]
    answer: Callable[[PalimpsestError, str, bool], HttpAnswer]


@dataclass(frozen=True, slots=True)
class WebRules:
    """What web pages may do.

    Args:
        origins: Those whose pages may call (CORS).
        loopback_only: Whether the Host of requests must be loopback: where no key is needed,
            pages that a browser was made to take for local ones could call otherwise.
    """

    origins: Sequence[str] = ()
    loopback_only: bool = False


class HttpApp:
    """All paths of the server.

    Args:
        endpoints: What answers them.
        invoker: Calls the methods of the contract.
        error_formats: The first that has the path; the contract's own where none has.
        rules: For web pages.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        invoker: Invoker,
        error_formats: Sequence[ErrorFormat],
        rules: WebRules,
    ) -> None:
        self._routes = Routes(endpoints)
        self._invoker = invoker
        self._runner = invoker.runner
        self._error_formats = error_formats
        self._rules = rules

    async def answer(self, connection: HttpProtocol, cycle: RequestResponseCycle) -> None:
        """Answer one request."""
        exchange = HttpExchange(connection, cycle, self._failed)
        try:
            await self._send(exchange, await self._answer(exchange))
        except DisconnectedError:
            pass
        except asyncio.CancelledError:
            # Its caller has hung up: there is nothing to be answered.
            if not exchange.hung_up:
                raise
        except Exception as error:  # noqa: BLE001  (must not end the connection of others' calls)
            call_id = new_call_id()
            failure = failure_of(error, call_id)
            if not exchange.stream_started:
                await self._send(exchange, self._failed(exchange, failure, call_id))

    def _failed(self, exchange: HttpExchange, error: PalimpsestError, call_id: str) -> HttpAnswer:
        """The answer of an error, in the format of its path."""
        path = exchange.raw_path
        formats = (one for one in self._error_formats if path.startswith(one.prefixes))
        made = next(formats, _NATIVE).answer(error, call_id, "if-match" in exchange.headers)
        if exchange.stream_started:
            return HttpAnswer(made.status, native.error_event(error, call_id))
        headers = (*made.headers, ("x-request-id", call_id))
        if error.reason is Reason.SHUTTING_DOWN:
            headers = (*headers, ("connection", "close"))
        return HttpAnswer(made.status, made.body, made.content_type, headers)

    async def _answer(self, exchange: HttpExchange) -> HttpAnswer:
        try:
            self._check_page(exchange)
            if exchange.verb == "OPTIONS" and self._allowed_origin(exchange) is not None:
                return HttpAnswer(204, headers=(("x-request-id", new_call_id()),))
            verb = "GET" if exchange.verb == "HEAD" else exchange.verb
            endpoint, parameters = self._routes.find(verb, exchange.raw_path)
            if endpoint.streams and verb != exchange.verb:
                raise verb_not_allowed(verb)
            if endpoint.local_only:
                _check_local(exchange)
            self._check_content(exchange, endpoint)
        except PalimpsestError as error:
            # Callers without a key can cause these at any rate.
            self._runner.policy.not_a_call(exchange.peer(), error.reason)
            return self._failed(exchange, error, new_call_id())
        access = _ACCESS[endpoint.writes] if not endpoint.keyless else None

        async def receive(active: ActiveCall) -> HttpRequest:
            exchange.check_size()
            body = b""
            if not endpoint.keyless:
                arrived = exchange.arrived()
                if arrived is None:
                    body = await self._runner.receive(
                        active, lambda limit: exchange.read(active, limit), JSON_FACTOR
                    )
                else:
                    body = arrived
                    await self._runner.received(active, body, JSON_FACTOR)
            return HttpRequest(
                parameters,
                exchange.query(),
                exchange.headers,
                body,
                exchange.request_id(),
                exchange.etag(),
            )

        async def work(call: RpcCall, request: HttpRequest, active: ActiveCall) -> HttpAnswer:
            calls = self._invoker.for_request(call, active)
            exchange.stream_headers = self._cors(exchange)
            try:
                if endpoint.streams:
                    async with _commented(exchange):
                        answer = await endpoint.handler(calls, request)
                else:
                    answer = await endpoint.handler(calls, request)
                calls.answer(len(answer.body))
            except BaseException:
                calls.give_up()
                raise
            return answer._replace(headers=(*answer.headers, ("x-request-id", active.call_id)))

        name = f"{endpoint.verb} {endpoint.path}"
        try:
            answer: HttpAnswer = await self._runner.run(name, access, exchange, receive, work)
            return answer
        finally:
            exchange.end_deadline()

    async def _send(self, exchange: HttpExchange, answer: HttpAnswer) -> None:
        if exchange.stream_started:
            if answer.body:
                await exchange.write_event(answer.body)
            await exchange.end_stream()
            return
        cors = self._cors(exchange)
        if cors:
            answer = answer._replace(headers=(*answer.headers, *cors))
        await exchange.send(answer)

    # --- web pages ---------------------------------------------------------------

    def _allowed_origin(self, exchange: HttpExchange) -> str | None:
        origin = exchange.headers.get("origin")
        return origin if origin is not None and origin in self._rules.origins else None

    def _cors(self, exchange: HttpExchange) -> tuple[tuple[str, str], ...]:
        origin = self._allowed_origin(exchange)
        return _cors(origin) if origin is not None else ()

    def _check_page(self, exchange: HttpExchange) -> None:
        """Raise 403 for what a web page may have sent, where no key would keep it out."""
        if not (self._rules.loopback_only and exchange.is_tcp):
            return
        host = exchange.headers.get("host", "")
        if not _is_loopback(host):
            raise _forbidden("Without keys only a loopback Host is answered, such as localhost")
        origin = exchange.headers.get("origin")
        own = origin is not None and origin.partition("://")[2] == host
        if origin is not None and not own and origin not in self._rules.origins:
            raise _forbidden("Without keys only web pages of --http-origins are answered")

    def _check_content(self, exchange: HttpExchange, endpoint: Endpoint) -> None:
        """Raise 415 for a body of another type: web pages can send some types unasked."""
        headers = exchange.headers
        encoding = headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            raise unsupported_media(f"Bodies must not be compressed ({encoding})")
        # Without keys the type also shows that a request without a body is from no web page.
        typed = self._rules.loopback_only and endpoint.verb not in ("GET", "DELETE")
        if not endpoint.takes or not (typed or exchange.has_body):
            return
        given = headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != endpoint.takes:
            raise unsupported_media(f"The body must be {endpoint.takes}; say so in content-type")


def _native(error: PalimpsestError, call_id: str, if_match: bool) -> HttpAnswer:
    return native.answer_of(error, call_id, if_match=if_match)


def _connect(error: PalimpsestError, call_id: str, _: bool) -> HttpAnswer:
    return native.connect_answer_of(error, call_id)


_NATIVE: Final = ErrorFormat((b"/",), _native)
CONNECT: Final = ErrorFormat((b"/palimpsest.v1.",), _connect)


def _nothing(_: Any) -> Iterable[str]:
    return ()


# What the containers are, and how large answers, is known when the contract's methods are called.
_ACCESS: Final = {writes: Access(writes, _nothing, lambda _: 0) for writes in (False, True)}

_CORS_HEADERS: Final = (
    "authorization", "content-type", "idempotency-key", "if-match", "connect-protocol-version",
    "connect-timeout-ms", "last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version",
    "palimpsest-actor", "palimpsest-container", "traceparent", "tracestate", "x-request-id",
)  # fmt: skip


def _cors(origin: str) -> tuple[tuple[str, str], ...]:
    return (
        ("access-control-allow-origin", origin),
        ("access-control-allow-methods", "GET, POST, PATCH, PUT, DELETE"),
        ("access-control-allow-headers", ", ".join(_CORS_HEADERS)),
        ("access-control-expose-headers", "etag, retry-after, x-request-id"),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    )


def _forbidden(message: str) -> HttpError:
    return HttpError(403, Reason.INVALID_REQUEST, message)


def _check_local(exchange: HttpExchange) -> None:
    """Raise 403 for a request from another machine, or through a proxy, which may be from one."""
    here = not exchange.is_tcp or _is_loopback(exchange.peer().partition(":")[2])
    if not here or not _FORWARDED.isdisjoint(exchange.headers):
        raise _forbidden("Only callers on this machine are answered here")


_FORWARDED: Final = frozenset(("forwarded", "via", "x-forwarded-for", "x-real-ip"))


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.removeprefix("[").removesuffix("]").lower().removesuffix(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


@asynccontextmanager
async def _commented(exchange: HttpExchange) -> AsyncIterator[None]:
    """Send comments on the stream of an exchange while the block runs."""

    async def comment() -> None:
        while True:
            await asyncio.sleep(COMMENT_SECONDS)
            if exchange.stream_started:
                await exchange.write_event(b": \n\n")

    commenting = asyncio.create_task(comment())
    try:
        yield
    finally:
        commenting.cancel()
        with contextlib.suppress(asyncio.CancelledError, DisconnectedError):
            await commenting
