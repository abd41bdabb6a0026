"""One call in progress, as servicers see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

from service.core.errors import PalimpsestError
from service.core.model import Principal
from service.rpc.active_call import ActiveCall
from service.rpc.origin import Origin


class Exchange(Protocol):
    """The transport's side of one call: how its caller is known, and hears."""

    @property
    def answered(self) -> tuple[type[BaseException], ...]:
        """Exceptions that mean that the caller has its answer."""
        ...

    @property
    def gone(self) -> tuple[type[BaseException], ...]:
        """Exceptions that mean that the caller's connection has ended."""
        ...

    def peer(self) -> str:
        """The address of the caller, as `peers.Connection` has it."""
        ...

    def credentials(self) -> str | None:
        """The key that the caller sent; None without one."""
        ...

    def values_of(self, name: str) -> Sequence[str | bytes]:
        """All values of the metadata, or headers, of this name, in lower case."""
        ...

    def origin(self) -> Origin:
        """What the caller calls its request."""
        ...

    def time_remaining(self) -> float | None:
        """Seconds to the caller's deadline; None without one."""
        ...

    def began(self, active: ActiveCall) -> None:
        """The call has begun. A transport without deadlines of its own ends it at its caller's."""
        ...

    async def write(self, message: Any) -> None:
        """Send a message of a stream of answers."""
        ...

    def on_sent(self, callback: Callable[[], None]) -> None:
        """Call this once the answer has been read, or cannot be any more."""
        ...

    async def refuse(self, failure: PalimpsestError, call_id: str) -> Any:
        """Answer with an error. Returns what the handler is to return, or raises."""
        ...

    async def drop(self) -> Any:
        """Answer, as cheaply as possible, on a connection that was closed; as `refuse`."""
        ...


class CallInfo:
    """Which method a principal calls: all that a call that only reads needs."""

    __slots__ = ("method", "principal")

    def __init__(self, method: str, principal: Principal) -> None:
        self.method = method
        self.principal = principal


class RpcCall(CallInfo):
    """A call that this process serves: its transport, deadline, and end."""

    __slots__ = ("exchange", "stopping")

    def __init__(
        self, method: str, principal: Principal, exchange: Exchange, stopping: asyncio.Event
    ) -> None:
        super().__init__(method, principal)
        self.exchange = exchange
        self.stopping = stopping
        """Set when the server is draining: what waits should answer."""

    def remaining(self) -> float | None:
        """Seconds to the caller's deadline; None without one."""
        return self.exchange.time_remaining()

    def budget(self) -> float | None:
        """Seconds of work after which there is still time to answer; None: no limit."""
        left = self.remaining()
        return None if left is None else max(0.0, left - max(0.2, left * 0.1))


Send: TypeAlias = Callable[[Any], Awaitable[None]]
"""Sends a message of a stream of answers; returns when it is on its way to the caller."""


class StreamCall(RpcCall):
    """A call that is answered by a stream of messages that may be large."""

    __slots__ = ("message",)

    def __init__(
        self, call: RpcCall, message: Callable[[int], AbstractAsyncContextManager[Send]]
    ) -> None:
        super().__init__(call.method, call.principal, call.exchange, call.stopping)
        self.message = message
        """Begins a message of so many bytes, roughly: it is made and sent inside the block.

        Waits until the caller's quota has room for it and it is its tenant's turn; raises
        QUOTA_EXCEEDED and OVERLOADED.
        """


Handler: TypeAlias = Callable[[RpcCall, Any], Awaitable[Any]]


def bearer(authorization: str | None) -> str | None:
    """The key in `Bearer <key>`; None without one."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None
