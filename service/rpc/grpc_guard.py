"""The policy of calls, applied to gRPC: the outermost layer around every handler.

It wraps each method's handler once, when the server is built: an interceptor would run
for every call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from grpc.aio import AbortError

from service.core.errors import PalimpsestError
from service.rpc.access import Access
from service.rpc.active_call import ActiveCall
from service.rpc.call_runner import CallRunner, Work
from service.rpc.calls import Handler, RpcCall, bearer
from service.rpc.errors import Context, abort
from service.rpc.failures import malformed
from service.rpc.keyless_calls import late
from service.rpc.origin import Origin, origin_of
from service.rpc.to_thread import MANY_BYTES, to_thread_if
from service.runtime.call_stages import stage

Guarded: TypeAlias = Callable[[Any, Context], Awaitable[Any]]

_ANSWERED: Final = (AbortError,)
_GONE: Final = (grpc.aio.InternalError,)


class GrpcExchange:
    """A call of gRPC; see `calls.Exchange`.

    Attributes:
        context: gRPC's own object for it.
    """

    __slots__ = ("_metadata", "context")

    answered: tuple[type[BaseException], ...] = _ANSWERED
    gone: tuple[type[BaseException], ...] = _GONE
    """gRPC could not send."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._metadata: Sequence[tuple[str, str | bytes]] | None = None

    def peer(self) -> str:
        return self.context.peer()

    def credentials(self) -> str | None:
        for name, value in self._given():
            if name == "authorization" and isinstance(value, str):
                return bearer(value)
        return None

    def values_of(self, name: str) -> Sequence[str | bytes]:
        return [value for given, value in self._given() if given == name]

    def origin(self) -> Origin:
        return origin_of(self._given())

    def _given(self) -> Sequence[tuple[str, str | bytes]]:
        # gRPC makes the metadata again at each look.
        if self._metadata is None:
            self._metadata = tuple(self.context.invocation_metadata() or ())
        return self._metadata

    def time_remaining(self) -> float | None:
        # The stub leaves out that a call may be without a deadline.
        left: float | None = self.context.time_remaining()
        return left

    def began(self, active: ActiveCall) -> None:
        """gRPC itself ends calls at their deadlines."""

    async def write(self, message: Any) -> None:
        await self.context.write(message)

    def on_sent(self, callback: Callable[[], None]) -> None:
        # The stub wants an instance of a class of its own.
        self.context.add_done_callback(lambda _: callback())  # type: ignore[arg-type]

    async def refuse(self, failure: PalimpsestError, call_id: str) -> None:
        await abort(self.context, failure, call_id)

    async def drop(self) -> None:
        await self.context.abort(grpc.StatusCode.UNAVAILABLE)


class CallGuard:
    """Wraps handlers.

    Args:
        runner: Runs them.
    """

    def __init__(self, runner: CallRunner) -> None:
        self._runner = runner
        self._policy = runner.policy
        self._refusals: set[asyncio.Task[AbortError | None]] = set()

    def unary(
        self,
        method: str,
        parse: Callable[[bytes], Message],
        handler: Handler,
        access: Access | None,
    ) -> Guarded:
        """Answers bytes, as the handler may too. `access` None: needs no key, and is
        served while draining."""
        bound = None if access is None else access.answer_bytes

        async def work(call: RpcCall, request: Any, active: ActiveCall) -> bytes:
            hold = await self._policy.hold_answer(active, 0 if bound is None else bound(request))
            try:
                answer: Message | bytes = await handler(call, request)
                with stage("answer"):
                    raw = answer if isinstance(answer, bytes) else answer.SerializeToString()
                    self._runner.keep(active, call.exchange, hold, len(raw))
            except BaseException:
                hold.release()
                raise
            return raw

        return self._guard(method, parse, work, access)

    def stream(
        self,
        method: str,
        parse: Callable[[bytes], Message],
        handler: Handler,
        access: Access | None,
    ) -> Guarded:
        """Runs a handler that writes its answers to the call's exchange."""

        async def work(call: RpcCall, request: Any, active: ActiveCall) -> None:
            stream = self._runner.stream_call(call, active)
            await self._runner.until_drained(handler(stream, request))

        return self._guard(method, parse, work, access)

    def duplex(
        self,
        method: str,
        parse: Callable[[bytes], Message],
        handler: Handler,
    ) -> Guarded:
        """The same for a handler that takes a stream of requests; it needs no key."""

        async def requests(active: ActiveCall, context: Context) -> AsyncIterator[Message]:
            with contextlib.suppress(EOFError):
                while True:
                    yield _parse(parse, await self._receive(active, context))
                    self._policy.charge_message(active)

        async def work(call: RpcCall, _: Any, active: ActiveCall) -> None:
            context = grpc_context(call)
            await self._runner.until_drained(handler(call, requests(active, context)))

        return self._guard(method, None, work, None)

    def _guard(
        self,
        method: str,
        parse: Callable[[bytes], Message] | None,
        work: Work,
        access: Access | None,
    ) -> Guarded:
        runner = self._runner

        async def handle(source: Any, context: Context) -> Any:
            async def receive(active: ActiveCall) -> Any:
                if parse is None:
                    return source
                raw = await self._receive(active, context)
                with stage("decode"):
                    return await to_thread_if(len(raw) >= MANY_BYTES, _parse, parse, raw)

            return await runner.run(method, access, GrpcExchange(context), receive, work)

        return handle

    async def _receive(self, active: ActiveCall, context: Context) -> bytes:
        """A message of the call; gRPC receives it only once it is read.

        So a caller cannot make the server hold messages before it is authenticated.
        """
        return await self._runner.receive(active, lambda limit: self._read(active, context, limit))

    async def _read(self, active: ActiveCall, context: Context, limit: float) -> bytes:
        refusal: asyncio.Task[AbortError | None] | None = None

        def refuse(failure: PalimpsestError) -> None:
            # Ends the read with the AbortError of this answer: gRPC's read must
            # not be cancelled while the call goes on.
            nonlocal refusal
            refusal = asyncio.ensure_future(_aborted(context, failure))
            self._refusals.add(refusal)
            refusal.add_done_callback(self._refusals.discard)

        overdue = asyncio.get_running_loop().call_later(limit, lambda: active.end(late(limit)))
        active.refuse = refuse
        try:
            raw = await context.read()
        finally:
            overdue.cancel()
            active.refuse = None
        if refusal is not None:
            # The message arrived nevertheless, after its caller was refused. gRPC takes no other
            # error for the end of the call than the one that it raised for it.
            await asyncio.wait((refusal,))
            raise refusal.result() or asyncio.CancelledError
        if isinstance(raw, bytes):
            return raw
        if active.received:
            raise EOFError
        raise malformed()


def grpc_context(call: RpcCall) -> Context:
    """gRPC's own object for a call that came by it."""
    exchange = call.exchange
    assert isinstance(exchange, GrpcExchange)  # noqa: S101  (its handler is known to gRPC alone)
    return exchange.context


async def _aborted(context: Context, error: PalimpsestError) -> AbortError | None:
    """Answer with an error; returns what gRPC raised for it."""
    try:
        await abort(context, error)
    except AbortError as raised:
        return raised
    return None


def _parse(parse: Callable[[bytes], Message], raw: bytes) -> Message:
    try:
        return parse(raw)
    except DecodeError:
        raise malformed() from None
