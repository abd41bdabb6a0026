"""One call in progress, as servicers see it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from service.core.model import Principal

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class CallInfo:
    """Which method a principal calls: all that a call that only reads needs."""

    __slots__ = ("method", "principal")

    def __init__(self, method: str, principal: Principal) -> None:
        self.method = method
        self.principal = principal


class RpcCall(CallInfo):
    """A call that this process serves: its transport, deadline, and end."""

    __slots__ = ("context", "stopping")

    def __init__(
        self, method: str, principal: Principal, context: Context, stopping: asyncio.Event
    ) -> None:
        super().__init__(method, principal)
        self.context = context
        self.stopping = stopping
        """Set when the server is draining: what waits should answer."""

    def remaining(self) -> float | None:
        """Seconds to the caller's deadline; None without one."""
        # The stub leaves out that a call may be without a deadline.
        left: float | None = self.context.time_remaining()
        return left

    def budget(self) -> float | None:
        """Seconds of work after which there is still time to answer; None: no limit."""
        left = self.remaining()
        return None if left is None else max(0.0, left - max(0.2, left * 0.1))


Handler: TypeAlias = Callable[[RpcCall, Any], Awaitable[Any]]


Metadata: TypeAlias = "Iterable[tuple[str, str | bytes]] | None"

_ORIGIN_CHARACTERS: Final = 128
"""What is logged of what a caller calls its request, at most."""


def bearer(metadata: Metadata) -> str | None:
    """The key in `authorization: Bearer <key>`; None without one."""
    for name, value in metadata or ():
        if name == "authorization" and isinstance(value, str):
            scheme, _, key = value.partition(" ")
            if scheme.lower() == "bearer" and key:
                return key.strip()
    return None


def origin(metadata: Metadata) -> dict[str, str]:
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
