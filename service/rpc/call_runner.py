"""The life of a call under the policy, from its arrival to its end; the same for all transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, Final, TypeAlias

from service.core.actors import ACTOR, actor_of
from service.core.errors import PalimpsestError, Reason
from service.core.model import Principal
from service.rpc.access import Access, authorize_containers
from service.rpc.active_call import ActiveCall, new_call_id
from service.rpc.calls import Exchange, RpcCall, Send, StreamCall
from service.rpc.failures import failure_of
from service.rpc.keyless_calls import RECEIVE_SECONDS as KEYLESS_RECEIVE_SECONDS
from service.rpc.policy import CANCELLED, CallPolicy, Hold, shutting_down
from service.runtime import call_stages
from service.runtime.call_stages import stage

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

RECEIVE_SECONDS: Final = 60.0
"""How long the message of a call may take to arrive."""

SLOW_SECONDS: Final = 0.05
"""After so long its tenant's other calls do not wait for a message that arrives."""

READ_SECONDS: Final = 120.0
"""How long an answer that is counted may remain unread."""

Receive: TypeAlias = Callable[[ActiveCall], Awaitable[Any]]
Work: TypeAlias = Callable[[RpcCall, Any, ActiveCall], Awaitable[Any]]


class CallRunner:
    """Runs calls.

    Args:
        policy: Decides about them.
        read_seconds: How long an answer, or a message of a stream, may remain unread.
    """

    def __init__(self, policy: CallPolicy, read_seconds: float = READ_SECONDS) -> None:
        self.policy = policy
        self._read_seconds = read_seconds

    async def run(
        self,
        method: str,
        access: Access | None,
        exchange: Exchange,
        receive: Receive,
        work: Work,
    ) -> Any:
        """Admit a call, receive its request, and do its work.

        Args:
            method: Its path.
            access: What it does; None: it needs no key, and is served while draining.
            exchange: Its transport.
            receive: Returns its request, of which no byte is taken before the caller is known.
            work: Returns its answer.
        """
        policy = self.policy
        if access is not None and policy.draining:
            await policy.pace_refusal()
            return await exchange.refuse(shutting_down(), new_call_id())
        connection = policy.connection(exchange.peer())
        if connection.closed:
            # Calls of a flood arrive until its connection has ended; they are not processed.
            return await exchange.drop()
        task = _this_task()
        active = policy.begin(method, connection, task, exchange.origin)
        failure: PalimpsestError | None = None
        outcome = CANCELLED
        noting = call_stages.enter(active.stages)
        try:
            try:
                exchange.began(active)
                with stage("admission"):
                    await policy.admit(
                        active, access, None if access is None else exchange.credentials()
                    )
                await policy.wait_turn(active)
                request = await receive(active)
                active.received = True
                principal = active.principal
                if access is not None:
                    authorize_containers(principal, access, request)
                    principal = _with_actor(principal, exchange)
                call = RpcCall(method, principal, exchange, policy.stopping)
                answer = await work(call, request, active)
                outcome = "OK"
                return answer
            except exchange.answered:
                outcome = "ANSWERED"
                raise
            except exchange.gone:
                raise asyncio.CancelledError from None
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
                # The caller must get an answer, without the text of the exception.
                failure = active.ended() or failure_of(error, active.call_id)
            outcome = failure.code.name
            # Behind messages of a stream that are not read, nor is this.
            with self._closed_if_unread(active):
                return await exchange.refuse(failure, active.call_id)
        finally:
            call_stages.leave(noting)
            sent = not policy.draining
            policy.end_call(active, outcome, failure, sent=sent)
            if not sent:
                task.add_done_callback(lambda _: policy.sent())
            if failure is not None:
                # An error holds the frames it went through, and some of them the error.
                failure.__traceback__ = failure.__cause__ = failure.__context__ = None
                failure = None

    async def receive(
        self, active: ActiveCall, read: Callable[[float], Awaitable[bytes]], factor: int = 1
    ) -> bytes:
        """A message of a call, once its quota has room for it.

        Args:
            active: The call.
            read: Receives it within so many seconds.
            factor: How much more memory it takes than its bytes as a message of protobuf.
        """
        limit = KEYLESS_RECEIVE_SECONDS if active.account is None else RECEIVE_SECONDS
        async with self.policy.receiving(active):
            loop = asyncio.get_running_loop()
            slow = loop.call_later(SLOW_SECONDS, self.policy.end_turn, active)
            try:
                with stage("receive"):
                    raw = await read(limit)
            finally:
                slow.cancel()
            await self._hold(active, raw, factor)
        await self.policy.resume_turn(active)
        return raw

    async def received(self, active: ActiveCall, raw: bytes, factor: int = 1) -> None:
        """As `receive`, of a message that had arrived before its call was admitted."""
        if self.policy.draining:
            raise shutting_down()
        await self._hold(active, raw, factor)

    async def _hold(self, active: ActiveCall, raw: bytes, factor: int) -> None:
        if len(raw) > MAX_MESSAGE_BYTES:
            raise too_large()
        await self.policy.hold_request(active, len(raw) * factor)

    def keep(self, active: ActiveCall, exchange: Exchange, hold: Hold, size: int) -> None:
        """Count an answer of this size until it has been read."""
        if not hold.resize(size):
            return
        policy = self.policy
        loop = asyncio.get_running_loop()
        overdue = loop.call_later(self._read_seconds, policy.unread, active)

        def sent() -> None:
            overdue.cancel()
            hold.release()

        exchange.on_sent(sent)

    @contextmanager
    def _closed_if_unread(self, active: ActiveCall) -> Iterator[None]:
        """A block that waits until its caller has read something; the connection is closed if it
        does not in time."""
        loop = asyncio.get_running_loop()
        overdue = loop.call_later(self._read_seconds, self.policy.unread, active)
        try:
            yield
        finally:
            overdue.cancel()

    def stream_call(self, call: RpcCall, active: ActiveCall) -> StreamCall:
        """The same call, for a handler that answers it by a stream."""

        def message(at_most: int) -> AbstractAsyncContextManager[Send]:
            return self._message(call.exchange, active, at_most)

        # Each message has a turn of its own, and would wait for this one.
        self.policy.end_turn(active)
        return StreamCall(call, message)

    @asynccontextmanager
    async def _message(
        self, exchange: Exchange, active: ActiveCall, at_most: int
    ) -> AsyncIterator[Send]:
        policy = self.policy
        hold = await policy.hold_answer(active, at_most)

        async def send(message: Any) -> None:
            hold.resize(message.ByteSize())
            with self._closed_if_unread(active):
                await exchange.write(message)

        try:
            async with policy.turn(active):
                yield send
        finally:
            hold.release()

    async def until_drained(self, answering: Awaitable[Any]) -> None:
        """Wait for a stream's handler; raises SHUTTING_DOWN when the server begins to stop."""
        with stage("stream"):
            await self._until_drained(answering)

    async def _until_drained(self, answering: Awaitable[Any]) -> None:
        work = asyncio.ensure_future(answering)
        stop = asyncio.ensure_future(self.policy.stopping.wait())
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


def too_large() -> PalimpsestError:
    return PalimpsestError(
        Reason.MESSAGE_TOO_LARGE, f"A message may have {MAX_MESSAGE_BYTES} bytes at most"
    )


def _with_actor(principal: Principal, exchange: Exchange) -> Principal:
    """The principal, with the actor that the call names; raises INVALID_REQUEST."""
    actor = actor_of(exchange.values_of(ACTOR))
    return replace(principal, actor=actor) if actor else principal


def _this_task() -> asyncio.Task[Any]:
    """The task that runs this; every handler has one."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  (for the type checker)
    return task
