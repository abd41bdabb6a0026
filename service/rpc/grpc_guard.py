"""The policy of calls, applied to gRPC: the outermost layer around every handler.

It wraps each method's handler once, when the server is built: an interceptor would run
for every call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from grpc.aio import AbortError

from service.core.errors import PalimpsestError, Reason
from service.rpc.access import Access, authorize_containers
from service.rpc.active_call import ActiveCall, new_call_id
from service.rpc.calls import Context, Handler, RpcCall, bearer, origin
from service.rpc.errors import abort
from service.rpc.failures import failure_of, malformed
from service.rpc.policy import CANCELLED, CallPolicy, shutting_down
from service.rpc.public_calls import RECEIVE_SECONDS as PUBLIC_RECEIVE_SECONDS
from service.rpc.public_calls import late
from service.rpc.to_thread import MANY_BYTES, to_thread_if

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

RECEIVE_SECONDS: Final = 60.0
"""How long the message of a call may take to arrive."""

READ_SECONDS: Final = 120.0
"""How long an answer that is counted may remain unread."""

Guarded: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
Work: TypeAlias = Callable[[RpcCall, Any, ActiveCall], Awaitable[Any]]


class CallGuard:
    """Wraps handlers.

    Args:
        policy: Decides about calls.
    """

    def __init__(self, policy: CallPolicy) -> None:
        self._policy = policy
        self._refusals: set[asyncio.Task[None]] = set()

    def unary(
        self,
        method: str,
        parse: Callable[[bytes], Message],
        handler: Handler,
        access: Access | None,
    ) -> Guarded:
        """Answers bytes, as the handler may too. `access` None: needs no key, and is
        served while draining."""
        policy = self._policy
        bound = None if access is None else access.answer_bytes

        async def work(call: RpcCall, request: Any, active: ActiveCall) -> bytes:
            hold = await policy.hold_answer(active, 0 if bound is None else bound(request))
            try:
                answer: Message | bytes = await handler(call, request)
                raw = answer if isinstance(answer, bytes) else answer.SerializeToString()
                counted = hold.resize(len(raw))
            except BaseException:
                hold.release()
                raise
            if counted:
                overdue = asyncio.get_running_loop().call_later(
                    READ_SECONDS, lambda: policy.unread(active)
                )

                def sent(_: object) -> None:
                    overdue.cancel()
                    hold.release()

                # The stub wants an instance of a class of its own.
                call.context.add_done_callback(sent)  # type: ignore[arg-type]
            return raw

        return self._guard(method, parse, work, access)

    def stream(
        self,
        method: str,
        parse: Callable[[bytes], Message],
        handler: Handler,
        access: Access | None,
    ) -> Guarded:
        """Runs a handler that writes its answers to the call's context."""

        async def work(call: RpcCall, request: Any, _: ActiveCall) -> None:
            await self._until_drained(handler(call, request))

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
            await self._until_drained(handler(call, requests(active, call.context)))

        return self._guard(method, None, work, None)

    def _guard(
        self,
        method: str,
        parse: Callable[[bytes], Message] | None,
        work: Work,
        access: Access | None,
    ) -> Guarded:
        policy = self._policy

        async def handle(source: Any, context: Context) -> Any:
            if access is not None and policy.draining:
                await policy.pace_refusal()
                await abort(context, shutting_down(), new_call_id())
            connection = policy.connection(context.peer())
            if connection.closed:
                # Calls of a flood arrive until its connection has ended; they are not processed.
                await context.abort(grpc.StatusCode.UNAVAILABLE)
            metadata = context.invocation_metadata()
            task = _this_task()
            active = policy.begin(method, connection, task, partial(origin, metadata))
            failure: PalimpsestError | None = None
            outcome = CANCELLED
            try:
                try:
                    await policy.admit(active, access, None if access is None else bearer(metadata))
                    await policy.wait_turn(active)
                    request = source
                    if parse is not None:
                        raw = await self._receive(active, context)
                        request = await to_thread_if(len(raw) >= MANY_BYTES, _parse, parse, raw)
                    active.received = True
                    if access is not None:
                        authorize_containers(active.principal, access, request)
                    call = RpcCall(method, active.principal, context, policy.stopping)
                    answer = await work(call, request, active)
                    outcome = "OK"
                    return answer
                except AbortError:
                    outcome = "ANSWERED"
                    raise
                except grpc.aio.InternalError:
                    # gRPC could not send: the connection is gone, and with it the caller.
                    raise asyncio.CancelledError from None
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
                    # The caller must get an answer, without the text of the exception.
                    failure = active.ended() or failure_of(error, active.call_id)
                outcome = failure.code.name
                await abort(context, failure, active.call_id)
            finally:
                sent = not policy.draining
                policy.end_call(active, outcome, failure, sent=sent)
                if not sent:
                    task.add_done_callback(lambda _: policy.sent())
                if failure is not None:
                    # An error holds the frames it went through, and some of them the error.
                    failure.__traceback__ = failure.__cause__ = failure.__context__ = None
                    failure = None

        return handle

    async def _receive(self, active: ActiveCall, context: Context) -> bytes:
        """A message of the call; gRPC receives it only once it is read.

        So a caller cannot make the server hold messages before it is authenticated.
        """
        limit = PUBLIC_RECEIVE_SECONDS if active.account is None else RECEIVE_SECONDS
        async with self._policy.receiving(active):
            raw = await self._read(active, context, limit)
            if len(raw) > MAX_MESSAGE_BYTES:
                raise PalimpsestError(
                    Reason.MESSAGE_TOO_LARGE,
                    f"A message may have {MAX_MESSAGE_BYTES} bytes at most",
                )
            await self._policy.hold_request(active, len(raw))
        return raw

    async def _read(self, active: ActiveCall, context: Context, limit: float) -> bytes:
        refusal: asyncio.Task[None] | None = None

        def refuse(failure: PalimpsestError) -> None:
            # Ends the read with the AbortError of this answer: gRPC's read must
            # not be cancelled while the call goes on.
            nonlocal refusal
            refusal = asyncio.ensure_future(_abort_quietly(context, failure))
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
            # The message arrived nevertheless, after its caller was refused.
            await asyncio.wait((refusal,))
            raise AbortError
        if isinstance(raw, bytes):
            return raw
        if active.received:
            raise EOFError
        raise malformed()

    async def _until_drained(self, answering: Awaitable[Any]) -> None:
        work = asyncio.ensure_future(answering)
        stop = asyncio.ensure_future(self._policy.stopping.wait())
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise shutting_down()
            await work
        finally:
            stop.cancel()
            if not work.done():
                work.cancel()
                # Its clean-up must have finished before the call counts as ended.
                await asyncio.wait((work,))


def _this_task() -> asyncio.Task[Any]:
    """The task that runs this; every handler has one."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  (for the type checker)
    return task


async def _abort_quietly(context: Context, error: PalimpsestError) -> None:
    with contextlib.suppress(AbortError):
        await abort(context, error)


def _parse(parse: Callable[[bytes], Message], raw: bytes) -> Message:
    try:
        return parse(raw)
    except DecodeError:
        raise malformed() from None
