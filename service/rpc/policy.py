"""What holds for every call, by whatever transport it comes.

A transport says how bytes come in and how answers and errors go out. Whether a call is let
in, how much it and others like it may use, when it is ended from outside, and what is logged
of it, is said here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

import structlog

from service.core.errors import Code, PalimpsestError, Reason
from service.core.model import Principal
from service.ports.store import Keys
from service.rpc.access import Access, authorize_method
from service.rpc.failures import is_callers_mistake
from service.rpc.peers import Connection, Connections
from service.rpc.public_calls import PublicCalls
from service.rpc.quotas import SMALL_BYTES, Account, Quotas, Resource
from service.runtime import logs
from service.runtime.tenant_turns import TenantTurns

RECHECK_SECONDS: Final = 0.5
"""How often the keys of calls in progress are looked at again."""

REFUSAL_SECONDS: Final = 0.1
"""How long callers of a server that stops wait to be told so."""

MAX_PACED_REFUSALS: Final = 10_000

PER_BYTE: Final = 2
"""How often each byte of a message is in memory: as it came or goes, and as it is worked on."""

ANONYMOUS: Final = Principal(tenant=0, key_id="")
"""The principal of calls that need no key."""

_PROCESS: Final = secrets.token_hex(4)
_numbers: Final = itertools.count(1)


def new_call_id() -> str:
    """Unique among the calls of all processes, for all that matters to a log."""
    return f"{_PROCESS}-{next(_numbers):x}"


class ActiveCall:
    """A call in progress.

    Args:
        method: Its path.
        connection: What it came by.
        task: Runs its handler.
        origin: Answers what its caller said of where it comes from, for logs.
    """

    __slots__ = (
        "_task", "account", "call_id", "connection", "failure", "method", "origin",
        "public", "received", "refuse", "request_bytes", "started", "token", "who",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        connection: Connection,
        task: asyncio.Task[Any],
        origin: Callable[[], dict[str, str]],
    ) -> None:
        self.method = method
        self.connection = connection
        self._task: asyncio.Task[Any] | None = task
        self.origin = origin
        self.call_id = new_call_id()
        self.started = perf_counter()
        self.who = ANONYMOUS
        self.account: Account | None = None
        self.token = ""
        self.public = False
        """Whether it counts as one that needs no key."""
        self.received = False
        """Whether its message is there."""
        self.request_bytes = 0
        """What of its request is counted as in use."""
        self.refuse: Callable[[PalimpsestError], None] | None = None
        """Ends it while its message is being received, when its task must not be cancelled."""
        self.failure: PalimpsestError | None = None
        """Why it was ended from outside."""

    def end(self, failure: PalimpsestError) -> None:
        """End it from outside; its caller is told `failure`. The first one stands."""
        if self.failure is not None:
            return
        self.failure = failure
        if self.refuse is not None:
            self.refuse(failure)
        elif self._task is not None:
            self._task.cancel()

    def ended(self) -> PalimpsestError | None:
        """Why it was ended, if it was; its task then goes on, to tell its caller."""
        task = self._task
        if self.failure is not None and task is not None and task.cancelling():
            task.uncancel()
        return self.failure

    def over(self) -> None:
        """Its handler is over. What gRPC keeps of a call must go with its task, and not when
        the garbage collector finds the two holding each other: in any thread, at any time."""
        self._task = None


class CallPolicy:
    """Lets calls in, and ends them.

    Args:
        keys: Authenticates.
        everyone: The principal of every caller, when keys are not asked for.
        connections: The connections that calls come by.
    """

    def __init__(self, keys: Keys, everyone: Principal | None, connections: Connections) -> None:
        self._keys = keys
        self._everyone = everyone
        self._connections = connections
        self._quotas = Quotas()
        self._public = PublicCalls()
        self._turns = TenantTurns()
        self._calls: dict[ActiveCall, None] = {}
        self._leaving = 0
        self._idle: asyncio.Event | None = None
        self._paced = 0
        self._pacing_stopped = asyncio.Event()
        self._log = structlog.get_logger("palimpsest.rpc")
        self._log_all = bool(self._log.is_enabled_for(logging.DEBUG))
        # What callers can cause as often as they like.
        self._limited_log = logs.LimitedLogger("palimpsest.rpc", limit=10, seconds=1.0)
        self.stopping = asyncio.Event()
        """Set when the server is draining."""
        self.refused = 0
        """How many calls came after `drain`."""

    @property
    def in_progress(self) -> int:
        """Calls being served, streams included; while draining, until their answers are sent."""
        return len(self._calls) + self._leaving

    @property
    def draining(self) -> bool:
        return self.stopping.is_set()

    # --- the life of a call --------------------------------------------------

    def connection(self, peer: str) -> Connection:
        """What a call of this peer came by."""
        return self._connections.of(peer)

    def begin(
        self,
        method: str,
        connection: Connection,
        task: asyncio.Task[Any],
        origin: Callable[[], dict[str, str]],
    ) -> ActiveCall:
        """A call has come; `end_call` is owed."""
        connection.calls += 1
        call = ActiveCall(method, connection, task, origin)
        self._calls[call] = None
        return call

    async def admit(self, call: ActiveCall, access: Access | None, token: str | None) -> None:
        """Let a call in, or raise why not. `access` None: it needs no key."""
        if access is None:
            self.charge_message(call)
            self._public.admit(call)
            return
        who = self._everyone
        if who is None:
            who = await self._authenticate(call, token)
            call.token = token or ""
        account = self._quotas.account(who)
        self._quotas.take(account, Resource.CALLS)
        call.who, call.account = who, account
        connection = call.connection
        connection.keyed, connection.tenant, connection.last_call = True, who.tenant, call.started
        authorize_method(who, access)

    async def _authenticate(self, call: ActiveCall, token: str | None) -> Principal:
        try:
            if token is None:
                raise PalimpsestError(
                    Reason.KEY_MISSING,
                    "Send the metadata `authorization: Bearer <key>` with every call",
                )
            return await self._keys.authenticate(token)
        except PalimpsestError as error:
            if error.code is Code.UNAUTHENTICATED:
                self._connections.charge(call.connection)
                if token is not None:
                    self._limited_log.warning(
                        "key refused",
                        peer=call.connection.peer,
                        key=self._keys.key_id(token),
                        method=call.method,
                        **call.origin(),
                    )
            raise

    @asynccontextmanager
    async def receiving(self, call: ActiveCall) -> AsyncIterator[None]:
        """While the block runs the call's message arrives; it waits for its turn."""
        account = call.account
        if account is None:
            async with self._public.receiving(call):
                yield
            return
        await self._quotas.take_in_turn(account, Resource.MESSAGES)
        try:
            if self.draining:
                raise shutting_down()
            yield
        finally:
            self._quotas.give(account, Resource.MESSAGES)

    async def hold_request(self, call: ActiveCall, size: int) -> None:
        """Count a message of so many bytes until the call ends, once there is room for it."""
        call.received = True
        if call.account is not None and size > SMALL_BYTES:
            await self._quotas.take_in_turn(call.account, Resource.BYTES, size * PER_BYTE)
            call.request_bytes = size * PER_BYTE

    async def turn(self, call: ActiveCall) -> None:
        """Returns when the call, which is about to be worked on, has its tenant's turn."""
        if call.account is not None:
            await self._turns.begin(call.who.tenant, call)

    async def hold_answer(self, call: ActiveCall, at_most: int) -> Hold:
        """Room for an answer that is yet to be made, once there is some."""
        account = call.account
        size = at_most * PER_BYTE
        if account is not None and size > SMALL_BYTES:
            await self._quotas.take_in_turn(account, Resource.BYTES, size)
            return Hold(self._quotas, account, size)
        return Hold(self._quotas, account, 0)

    def end_call(
        self, call: ActiveCall, outcome: str, failure: PalimpsestError | None, *, sent: bool
    ) -> None:
        """The call's handler is over.

        Args:
            call: The call.
            outcome: The name of its code, or a word for an end without one.
            failure: What its caller is told.
            sent: Whether nothing is left to be sent; otherwise `sent` is owed.
        """
        self._calls.pop(call, None)
        if self.draining and not sent:
            self._leaving += 1
        connection = call.connection
        connection.calls -= 1
        if call.public:
            self._public.leave(call)
        account = call.account
        if account is not None:
            self._turns.end(call.who.tenant, call)
            self._quotas.give(account, Resource.CALLS)
            self._quotas.give(account, Resource.BYTES, call.request_bytes)
            if not call.received and outcome == CANCELLED:
                self._connections.charge(connection)
        self._look_if_idle()
        if self._log_all or failure is not None:
            self._report(call, outcome, failure)
        call.over()

    def charge_message(self, call: ActiveCall) -> None:
        """Count a further message of a call that needs no key; raises OVERLOADED."""
        if self._connections.charge(call.connection) < 0 and not call.connection.shared:
            raise _slow_down()

    def sent(self) -> None:
        """The answer of a call that ended while the server drains has been sent."""
        self._leaving -= 1
        self._look_if_idle()

    def fruitless(self, peer: str) -> None:
        """A call came for which there is no method."""
        self._connections.charge(self._connections.of(peer))

    def unread(self, call: ActiveCall) -> None:
        """The answer of a call was not read for too long: its connection is closed."""
        self._connections.close(call.connection)

    # --- ending calls from outside ---------------------------------------------

    async def recheck_forever(self) -> None:
        """End calls and streams whose keys are revoked or have expired."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            by_token: dict[str, list[ActiveCall]] = {}
            for call in self._calls:
                if call.token:
                    by_token.setdefault(call.token, []).append(call)
            for token, calls in by_token.items():
                try:
                    await self._keys.authenticate(token)
                except PalimpsestError as error:
                    if error.code is Code.UNAUTHENTICATED:
                        for call in calls:
                            call.end(error)

    def drain(self) -> None:
        """From now on calls are refused, half-sent ones too, and streams end."""
        self.stopping.set()
        for call in list(self._calls):
            if call.refuse is not None:
                call.end(shutting_down())

    def end_all(self) -> None:
        """End the calls that are being worked on."""
        for call in list(self._calls):
            if call.refuse is None and call.received:
                call.end(shutting_down())

    async def pace_refusal(self) -> None:
        """Wait a moment before a refusal: some callers come again at once."""
        self.refused += 1
        if self._paced >= MAX_PACED_REFUSALS:
            return
        self._paced += 1
        try:
            async with asyncio.timeout(REFUSAL_SECONDS):
                await self._pacing_stopped.wait()
        except TimeoutError:
            pass
        finally:
            self._paced -= 1

    def stop_pacing_refusals(self) -> None:
        """From now on calls are refused at once."""
        self._pacing_stopped.set()

    async def idle(self) -> None:
        """Returns when no call is being served."""
        while self.in_progress:
            if self._idle is None or self._idle.is_set():
                self._idle = asyncio.Event()
            await self._idle.wait()

    def _look_if_idle(self) -> None:
        if self._idle is not None and not self.in_progress:
            self._idle.set()

    # --- logging -----------------------------------------------------------------

    def _report(self, call: ActiveCall, outcome: str, failure: PalimpsestError | None) -> None:
        if failure is None or is_callers_mistake(failure):
            if not self._log_all:
                return
            write = self._log.debug
        elif failure.code is Code.RESOURCE_EXHAUSTED:
            write = self._limited_log.info
        else:
            write = self._log.info
        write(
            "call",
            method=call.method,
            code=outcome,
            reason=failure.reason.name if failure else None,
            milliseconds=round((perf_counter() - call.started) * 1000, 3),
            tenant=call.who.tenant_name or call.who.tenant,
            key=call.who.key_id,
            peer=call.connection.peer,
            call_id=call.call_id,
            **call.origin(),
        )


class Hold:
    """Bytes of an answer that count as in use."""

    __slots__ = ("_account", "_quotas", "_size")

    def __init__(self, quotas: Quotas, account: Account | None, size: int) -> None:
        self._quotas = quotas
        self._account = account
        self._size = size

    def made(self, size: int) -> bool:
        """The answer has so many bytes; whether it is worth counting until it is read."""
        if self._account is None:
            return False
        after = size * PER_BYTE if size > SMALL_BYTES else 0
        self._quotas.resize(self._account, Resource.BYTES, self._size, after)
        self._size = after
        return after > 0

    def release(self) -> None:
        if self._account is not None:
            self._quotas.give(self._account, Resource.BYTES, self._size)
            self._size = 0


CANCELLED: Final = "CANCELLED"
"""The outcome of a call that its caller gave up."""


def shutting_down() -> PalimpsestError:
    return PalimpsestError(
        Reason.SHUTTING_DOWN, "The server is stopping; try another, or again", retry_after=1
    )


def _slow_down() -> PalimpsestError:
    return PalimpsestError(
        Reason.OVERLOADED, "Too many calls without a key on this connection", retry_after=1
    )
