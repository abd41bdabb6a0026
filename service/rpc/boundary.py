"""The outermost layer: what happens to every call, whatever it is about.

Authenticates, parses, authorizes, counts, logs, and turns every way a handler
can fail into an answer. It wraps each method's handler once, when the server is
built: an interceptor would be asked about every call anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final, TypeAlias

import structlog
from google.protobuf.message import DecodeError, Message
from grpc.aio import AbortError

from service.core.errors import PalimpsestError, Reason
from service.core.model import Principal
from service.core.store import Keys
from service.rpc.access import Access, authorize_containers, authorize_method
from service.rpc.calls import (
    CALL_ID,
    Call,
    Context,
    Handler,
    InFlight,
    bearer,
    new_call_id,
    this_task,
)
from service.rpc.errors import abort
from service.rpc.failures import failure_of, is_callers_mistake, malformed
from service.rpc.holdings import SMALL, Holdings

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
MAX_CALLS: Final = 10_000
"""Calls at once, streams included; further ones are answered OVERLOADED."""

RECEIVE_SECONDS: Final = 60.0
"""How long the message of a call may take to arrive."""

STRANGER_SECONDS: Final = 5.0
"""The same on methods for everyone, which take messages of a few bytes."""

REFUSAL_SECONDS: Final = 0.1
"""How long callers of a server that stops wait to be told so."""

Guarded: TypeAlias = Callable[[Any, Context], Awaitable[Any]]

_NOBODY: Final = Principal(tenant=0, key_id="")


class Boundary:
    """Wraps handlers.

    Args:
        keys: Says whose a key is.
        everyone: Who every caller is, when keys are not asked for.
    """

    def __init__(self, keys: Keys, everyone: Principal | None = None) -> None:
        self._keys = keys
        self._everyone = everyone
        self._log = structlog.get_logger("palimpsest.rpc")
        self._log_all = bool(self._log.is_enabled_for(logging.DEBUG))
        self._stop = asyncio.Event()
        self._turned_away = asyncio.Event()
        self._held = 0
        self._holdings = Holdings()
        self._arriving: set[Callable[[PalimpsestError], None]] = set()
        self._aborting: set[asyncio.Task[None]] = set()
        self.calls = InFlight()
        self.refused = 0
        """How many calls came after `drain`."""

    def drain(self) -> None:
        """From now on calls are refused, half-sent ones too, and streams end."""
        self._stop.set()
        self.calls.drain()
        for refuse in tuple(self._arriving):
            refuse(_shutting_down())

    def turn_away(self) -> None:
        """From now on calls are refused at once, without a pause."""
        self._turned_away.set()

    def unary(
        self,
        method: str,
        parse: Callable[[bytes], Message],
        handler: Handler,
        access: Access | None,
    ) -> Guarded:
        """Answers bytes, as the handler may too. `access` None: for everyone, also while
        draining."""
        holdings = self._holdings

        async def work(call: Call, request: Any) -> bytes:
            answer: Message | bytes = await handler(call, request)
            raw = answer if isinstance(answer, bytes) else answer.SerializeToString()
            if len(raw) > SMALL:
                key_id = call.who.key_id
                size = holdings.take(key_id, len(raw))

                def sent(_: object) -> None:
                    holdings.give(key_id, size)

                # The stub wants an instance of a class of its own.
                call.context.add_done_callback(sent)  # type: ignore[arg-type]
            return raw

        return self._guard(method, parse, work, access)

    def stream(
        self,
        method: str,
        parse: Callable[[bytes], Message] | None,
        handler: Handler,
        access: Access | None,
    ) -> Guarded:
        """Runs a handler that writes its answers to the call's context.

        `parse` None: the requests are a stream too, and are handed on as it is.
        """

        async def work(call: Call, request: Any) -> None:
            await self._until_drained(handler(call, request))

        return self._guard(method, parse, work, access)

    def _guard(
        self,
        method: str,
        parse: Callable[[bytes], Message] | None,
        work: Handler,
        access: Access | None,
    ) -> Guarded:
        calls = self.calls

        async def handle(source: Any, context: Context) -> Any:
            if self._stop.is_set() and access is not None:
                await self._refuse(context)
            calls.count += 1
            started = perf_counter()
            call_id = new_call_id()
            CALL_ID.set(call_id)
            who = _NOBODY
            failure: PalimpsestError | None = None
            outcome = "CANCELLED"
            held = 0
            task = this_task()
            try:
                try:
                    if access is not None:
                        who = await self._admit(access, context)
                    request = source
                    if parse is not None:
                        raw = await self._receive(who, context)
                        held = self._holdings.take(who.key_id, len(raw))
                        request = _parse(parse, raw)
                    calls.work(task)
                    if access is not None:
                        authorize_containers(who, access, request)
                    answer = await work(Call(method, who, context, self._stop), request)
                    outcome = "OK"
                    return answer
                except AbortError:
                    outcome = "ANSWERED"
                    raise
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
                    # Whatever it was, the caller must get an answer without its text.
                    failure = (
                        _shutting_down() if calls.was_cut(task) else failure_of(error, call_id)
                    )
                outcome = failure.code.name
                await abort(context, failure, call_id)
            finally:
                calls.leave(task)
                self._holdings.give(who.key_id, held)
                if self._log_all or failure is not None:
                    self._report(method, who, call_id, started, outcome, failure)

        return handle

    async def _refuse(self, context: Context) -> None:
        """Says that the server stops; with a pause, since some callers come again at once."""
        self.refused += 1
        if self._held < MAX_CALLS:
            self._held += 1
            try:
                async with asyncio.timeout(REFUSAL_SECONDS):
                    await self._turned_away.wait()
            except TimeoutError:
                pass
            finally:
                self._held -= 1
        await abort(context, _shutting_down(), new_call_id())

    async def _admit(self, access: Access, context: Context) -> Principal:
        if self.calls.count > MAX_CALLS:
            raise PalimpsestError(
                Reason.OVERLOADED, "Too many calls at once; try again", retry_after=1
            )
        who = self._everyone
        if who is None:
            who = await self._keys.authenticate(bearer(context.invocation_metadata()))
        authorize_method(who, access)
        return who

    async def _receive(self, who: Principal, context: Context) -> bytes:
        """The call's message, which gRPC takes in only once it is asked for.

        So nobody can make the server hold messages before being let in.
        """
        if who is _NOBODY:
            return await self._read(context, STRANGER_SECONDS)
        async with self._holdings.arriving(who.key_id):
            if self._stop.is_set():
                raise _shutting_down()
            return await self._read(context, RECEIVE_SECONDS)

    async def _read(self, context: Context, limit: float) -> bytes:
        refusal: asyncio.Task[None] | None = None

        def refuse(failure: PalimpsestError) -> None:
            # Ends the read with the AbortError of this answer: gRPC's read must
            # not be cancelled while the call goes on.
            nonlocal refusal
            refusal = asyncio.ensure_future(_abort_quietly(context, failure))
            self._aborting.add(refusal)
            refusal.add_done_callback(self._aborting.discard)

        overdue = asyncio.get_running_loop().call_later(limit, lambda: refuse(_late(limit)))
        self._arriving.add(refuse)
        try:
            raw = await context.read()
        finally:
            overdue.cancel()
            self._arriving.discard(refuse)
        if refusal is not None:
            # The message came all the same: too late, its caller has another answer.
            await asyncio.wait((refusal,))
            raise AbortError
        if not isinstance(raw, bytes):
            raise malformed()
        return raw

    async def _until_drained(self, answering: Awaitable[Any]) -> None:
        work = asyncio.ensure_future(answering)
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise _shutting_down()
            await work
        finally:
            stop.cancel()
            if not work.done():
                work.cancel()
                # Its clean-up must be over before the call counts as ended.
                await asyncio.wait((work,))

    def _report(
        self,
        method: str,
        who: Principal,
        call_id: str,
        started: float,
        outcome: str,
        failure: PalimpsestError | None,
    ) -> None:
        if failure is None or is_callers_mistake(failure):
            if not self._log_all:
                return
            write = self._log.debug
        else:
            write = self._log.info
        write(
            "call",
            method=method,
            code=outcome,
            reason=failure.reason.name if failure else None,
            milliseconds=round((perf_counter() - started) * 1000, 3),
            tenant=who.tenant,
            key=who.key_id,
            call_id=call_id,
        )


def _shutting_down() -> PalimpsestError:
    return PalimpsestError(
        Reason.SHUTTING_DOWN, "The server is stopping; try another, or again", retry_after=1
    )


def _late(limit: float) -> PalimpsestError:
    return PalimpsestError(
        Reason.DEADLINE_EXCEEDED, f"The message did not arrive within {limit:.0f} seconds"
    )


async def _abort_quietly(context: Context, error: PalimpsestError) -> None:
    with contextlib.suppress(AbortError):
        await abort(context, error)


def _parse(parse: Callable[[bytes], Message], raw: bytes) -> Message:
    if len(raw) > MAX_MESSAGE_BYTES:
        raise PalimpsestError(
            Reason.MESSAGE_TOO_LARGE, f"A message may have {MAX_MESSAGE_BYTES} bytes at most"
        )
    try:
        return parse(raw)
    except DecodeError:
        raise malformed() from None
