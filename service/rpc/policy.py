"""The policy of calls, independent of the transport.

A transport defines how bytes arrive and how answers and errors are sent. This module decides
whether a call is admitted, how much it may use, and when it is ended from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

from service.core.errors import Code, PalimpsestError, Reason
from service.core.model import Principal
from service.ports.store import Keys
from service.rpc.access import Access, authorize_method
from service.rpc.active_call import ActiveCall
from service.rpc.call_monitor import CallMonitor
from service.rpc.keyless_calls import KeylessCalls
from service.rpc.origin import Origin
from service.rpc.peers import Connection, Connections
from service.rpc.quotas import SMALL_BYTES, Account, Quotas, Resource
from service.runtime.tenant_turns import TenantTurns

RECHECK_SECONDS: Final = 0.5
"""How often the keys of calls in progress are checked again."""

REFUSAL_SECONDS: Final = 0.1
"""How long the refusal of a call is delayed while the server stops."""

MAX_PACED_REFUSALS: Final = 10_000

RESET_SECONDS: Final = 1.0
"""A call cancelled so soon, before its message is there, may be one of a flood of resets."""

PER_BYTE: Final = 2
"""Copies of a message in memory: its bytes on the wire, and the message itself."""


class CallPolicy:
    """Admits calls, and ends them.

    Args:
        keys: Authenticates.
        default_principal: The principal of all callers where authentication is disabled.
        connections: The connections of the callers.
        monitor: Is told of the calls; None: only failures are logged.
        turns: Lets calls begin, each in its tenant's turn; None: a new one with its defaults.
    """

    def __init__(
        self,
        keys: Keys,
        default_principal: Principal | None,
        connections: Connections,
        monitor: CallMonitor | None = None,
        turns: TenantTurns | None = None,
    ) -> None:
        self._keys = keys
        self._monitor = monitor or CallMonitor(slow_seconds=0)
        self._default_principal = default_principal
        self._connections = connections
        self._quotas = Quotas()
        self._keyless_calls = KeylessCalls()
        self._turns = turns or TenantTurns()
        self._calls: dict[ActiveCall, None] = {}
        self._leaving = 0
        self._idle: asyncio.Event | None = None
        self._paced = 0
        self._pacing_stopped = asyncio.Event()
        self.stopping = asyncio.Event()
        """Set when the server is draining."""
        self.refused = 0
        """How many calls arrived after `drain`."""

    @property
    def in_progress(self) -> int:
        """Calls being served, streams included; while draining, until their answers are sent."""
        return len(self._calls) + self._leaving

    @property
    def draining(self) -> bool:
        return self.stopping.is_set()

    # --- the life of a call --------------------------------------------------

    def connection(self, peer: str) -> Connection:
        """The connection of this peer."""
        return self._connections.of(peer)

    def begin(
        self,
        method: str,
        connection: Connection,
        task: asyncio.Task[Any],
        origin: Callable[[], Origin],
    ) -> ActiveCall:
        """A call has arrived; `end_call` must follow."""
        connection.calls += 1
        call = ActiveCall(method, connection, task, origin, self._monitor.stages())
        self._calls[call] = None
        return call

    async def admit(self, call: ActiveCall, access: Access | None, token: str | None) -> None:
        """Admit a call, or raise the error to refuse it with. `access` None: it needs no key."""
        if access is None:
            self.charge_message(call)
            self._keyless_calls.admit(call)
            return
        principal = self._default_principal
        if principal is None:
            principal = await self._authenticate(call, token)
            call.token = token or ""
        account = self._quotas.account(principal)
        self._quotas.acquire(account, Resource.CALLS)
        call.principal, call.account = principal, account
        connection = call.connection
        connection.keyed, connection.tenant, connection.last_call = (
            True,
            principal.tenant,
            call.started,
        )
        authorize_method(principal, access)

    async def _authenticate(self, call: ActiveCall, token: str | None) -> Principal:
        try:
            if token is None:
                raise PalimpsestError(
                    Reason.KEY_MISSING,
                    "Send `authorization: Bearer <key>` with every call",
                )
            return await self._keys.authenticate(token)
        except PalimpsestError as error:
            if error.code is Code.UNAUTHENTICATED:
                self._connections.charge(call.connection)
                if token is not None:
                    self._monitor.key_refused(call, self._keys.key_id(token))
            raise

    @asynccontextmanager
    async def receiving(self, call: ActiveCall) -> AsyncIterator[None]:
        """Wait until a message may be received; it is received inside the block."""
        account = call.account
        if account is None:
            async with self._keyless_calls.receiving(call):
                yield
            return
        await self._quotas.acquire_in_turn(account, Resource.MESSAGES)
        try:
            if self.draining:
                raise shutting_down()
            call.receiving = True
            yield
        finally:
            self._quotas.release(account, Resource.MESSAGES)

    async def hold_request(self, call: ActiveCall, size: int) -> None:
        """Wait until the quota has room for a message of this size, and count it until the end."""
        call.received = True
        if call.account is not None and size > SMALL_BYTES:
            await self._quotas.acquire_in_turn(call.account, Resource.BYTES, size * PER_BYTE)
            call.request_bytes = size * PER_BYTE

    async def wait_turn(self, call: ActiveCall) -> None:
        """Wait until it is the turn of the call's tenant."""
        if call.account is not None:
            await self._turns.begin(call.principal.tenant, call)

    async def resume_turn(self, call: ActiveCall) -> None:
        """Wait until it is its turn again, if that has ended."""
        if call.account is not None:
            await self._turns.resume(call.principal.tenant, call)

    def end_turn(self, call: ActiveCall) -> None:
        """The call goes on, but nothing is to be done for it now."""
        if call.account is not None:
            self._turns.end(call.principal.tenant, call)

    @asynccontextmanager
    async def turn(self, call: ActiveCall) -> AsyncIterator[None]:
        """A turn of the call's tenant for one more step of a call that goes on for long."""
        step = object()
        try:
            await self._turns.begin(call.principal.tenant, step)
            yield
        finally:
            self._turns.end(call.principal.tenant, step)

    async def hold_answer(self, call: ActiveCall, at_most: int) -> Hold:
        """Wait until the quota has room for an answer of this size, and reserve it."""
        account = call.account
        size = at_most * PER_BYTE
        if account is not None and size > SMALL_BYTES:
            await self._quotas.acquire_in_turn(account, Resource.BYTES, size)
            return Hold(self._quotas, account, size)
        return Hold(self._quotas, account, 0)

    def end_call(
        self, call: ActiveCall, outcome: str, failure: PalimpsestError | None, *, sent: bool
    ) -> None:
        """The call's handler has returned.

        Args:
            call: The call.
            outcome: The name of its code, or a word for an end without one.
            failure: The error that its caller gets.
            sent: Whether nothing is left to be sent; otherwise `sent` must follow.
        """
        self._calls.pop(call, None)
        if self.draining and not sent:
            self._leaving += 1
        connection = call.connection
        connection.calls -= 1
        if call.keyless:
            self._keyless_calls.leave(call)
        account = call.account
        if account is not None:
            self._turns.end(call.principal.tenant, call)
            self._quotas.release(account, Resource.CALLS)
            self._quotas.release(account, Resource.BYTES, call.request_bytes)
            # A caller that gave up while its call waited for the tenant's turn did nothing wrong.
            soon = perf_counter() - call.started < RESET_SECONDS
            if not call.received and outcome == CANCELLED and (soon or call.receiving):
                self._connections.charge(connection)
        self._notify_if_idle()
        self._monitor.ended(call, outcome, failure)
        call.over()

    def charge_message(self, call: ActiveCall) -> None:
        """Count a further message of a call that needs no key; raises OVERLOADED."""
        if self._connections.charge(call.connection) < 0 and not call.connection.shared:
            raise _slow_down()

    def sent(self) -> None:
        """The answer of a call that ended during the drain has been sent."""
        self._leaving -= 1
        self._notify_if_idle()

    def not_a_call(self, peer: str, reason: Reason) -> None:
        """Count what arrived for no method, or was refused before it was taken for a call."""
        self._monitor.refused(reason.name)
        self._connections.charge(self._connections.of(peer))

    def unread(self, call: ActiveCall) -> None:
        """Close the connection of a call whose answer was not read in time."""
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
        """Refuse calls from now on, also those whose message is arriving, and end streams."""
        self.stopping.set()
        for call in list(self._calls):
            if call.refuse is not None:
                call.end(shutting_down())

    def end_all(self) -> None:
        """End the calls whose handlers are running."""
        for call in list(self._calls):
            if call.refuse is None and call.received:
                call.end(shutting_down())

    async def pace_refusal(self) -> None:
        """Wait a moment before a refusal: some clients retry at once."""
        self.refused += 1
        self._monitor.refused(Reason.SHUTTING_DOWN.name)
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
        """Refuse calls without delay from now on."""
        self._pacing_stopped.set()

    async def idle(self) -> None:
        """Wait until no call is being served."""
        while self.in_progress:
            if self._idle is None or self._idle.is_set():
                self._idle = asyncio.Event()
            await self._idle.wait()

    def _notify_if_idle(self) -> None:
        if self._idle is not None and not self.in_progress:
            self._idle.set()


class Hold:
    """Bytes of an answer that are counted as in use."""

    __slots__ = ("_account", "_quotas", "_size")

    def __init__(self, quotas: Quotas, account: Account | None, size: int) -> None:
        self._quotas = quotas
        self._account = account
        self._size = size

    def resize(self, size: int) -> bool:
        """Set the answer's actual size; returns whether it is counted until it is read."""
        if self._account is None:
            return False
        after = size * PER_BYTE if size > SMALL_BYTES else 0
        self._quotas.resize(self._account, Resource.BYTES, self._size, after)
        self._size = after
        return after > 0

    def release(self) -> None:
        if self._account is not None:
            self._quotas.release(self._account, Resource.BYTES, self._size)
            self._size = 0


CANCELLED: Final = "CANCELLED"
"""The outcome of a call that its caller cancelled."""


def shutting_down() -> PalimpsestError:
    return PalimpsestError(
        Reason.SHUTTING_DOWN, "The server is stopping; try another, or again", retry_after=1
    )


def _slow_down() -> PalimpsestError:
    return PalimpsestError(
        Reason.OVERLOADED, "Too many calls without a key on this connection", retry_after=1
    )
