"""One call in progress, as servicers see it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Protocol, TypeAlias

from service.core.errors import PalimpsestError
from service.core.model import Principal
from service.rpc.active_call import ActiveCall

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


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

    def origin(self) -> dict[str, str]:
        """What the caller calls its request, for logs; see `origin_of`."""
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


Handler: TypeAlias = Callable[[RpcCall, Any], Awaitable[Any]]


Metadata: TypeAlias = "Iterable[tuple[str, str | bytes]] | None"

_ORIGIN_CHARACTERS: Final = 128
"""What is logged of what a caller calls its request, at most."""


def bearer(authorization: str | None) -> str | None:
    """The key in `Bearer <key>`; None without one."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def origin_of(metadata: Metadata) -> dict[str, str]:
    """What a caller calls its request, for logs: `x-request-id`, and the trace id of
    `traceparent` (W3C Trace Context)."""
    found = {}
    for name, value in metadata or ():
        if not isinstance(value, str):
            continue
        if name == "x-request-id":
            printable = "".join(c for c in value if c.isprintable())
            found["x_request_id"] = printable[:_ORIGIN_CHARACTERS]
        elif name == "traceparent" and (match := _TRACEPARENT.match(value)):
            found["trace_id"] = match[1]
    return found
