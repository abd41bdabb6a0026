"""One call in progress, as servicers see it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from service.core.errors import PalimpsestError, Reason
from service.core.model import Principal

if TYPE_CHECKING:
    import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

CALL_ID: Final[ContextVar[str]] = ContextVar("palimpsest_call_id", default="")
"""Names the call that is being served, for logs."""

_PROCESS: Final = secrets.token_hex(4)
_numbers: Final = itertools.count(1)


def new_call_id() -> str:
    """Unique among the calls of all processes, for all that matters to a log."""
    return f"{_PROCESS}-{next(_numbers):x}"


class Asked:
    """Who calls what; all that a call that only reads is answered by."""

    __slots__ = ("method", "who")

    def __init__(self, method: str, who: Principal) -> None:
        self.method = method
        self.who = who


class Call(Asked):
    """A call that this process takes, and how long there is for it."""

    __slots__ = ("context", "stopping")

    def __init__(
        self, method: str, who: Principal, context: Context, stopping: asyncio.Event
    ) -> None:
        super().__init__(method, who)
        self.context = context
        self.stopping = stopping
        """Set when the server is about to end: what waits should answer."""

    def remaining(self) -> float | None:
        """Seconds to the caller's deadline; None without one."""
        # The stub leaves out that a call may be without a deadline.
        left: float | None = self.context.time_remaining()
        return left

    def budget(self) -> float | None:
        """Seconds of work after which there is still time to answer; None: no limit."""
        left = self.remaining()
        return None if left is None else max(0.0, left - max(0.2, left * 0.1))


Handler: TypeAlias = Callable[[Call, Any], Awaitable[Any]]


def bearer(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The key in `authorization: Bearer <key>`. Raises KEY_MISSING."""
    for name, value in metadata or ():
        if name == "authorization" and isinstance(value, str):
            scheme, _, key = value.partition(" ")
            if scheme.lower() == "bearer" and key:
                return key.strip()
    raise PalimpsestError(
        Reason.KEY_MISSING, "Send the metadata `authorization: Bearer <key>` with every call"
    )


class InFlight:
    """The calls that are being served."""

    __slots__ = ("_cut", "_draining", "_empty", "_working", "count")

    def __init__(self) -> None:
        self.count = 0
        self._empty: asyncio.Event | None = None
        self._working: set[asyncio.Task[Any]] = set()
        self._cut: set[asyncio.Task[Any]] = set()
        self._draining = False

    def drain(self) -> None:
        """From now on calls are in flight until their answers are sent."""
        self._draining = True

    def work(self, task: asyncio.Task[Any]) -> None:
        """The call of this task has its request, and may be cut off."""
        self._working.add(task)

    def leave(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        self._cut.discard(task)
        if self._draining:
            task.add_done_callback(self._gone)
        else:
            self._gone(task)

    def _gone(self, _: object) -> None:
        self.count -= 1
        if not self.count and self._empty is not None:
            self._empty.set()

    def cut_off(self) -> None:
        """Cancels the calls that are being worked on."""
        self._cut = set(self._working)
        for task in self._cut:
            task.cancel()

    def was_cut(self, task: asyncio.Task[Any]) -> bool:
        """Whether the task was cancelled here; it then goes on, to say so to its caller."""
        if task not in self._cut:
            return False
        self._cut.discard(task)
        task.uncancel()
        return True

    async def idle(self) -> None:
        """Returns when no call is being served."""
        while self.count:
            if self._empty is None or self._empty.is_set():
                self._empty = asyncio.Event()
            await self._empty.wait()


def this_task() -> asyncio.Task[Any]:
    """The task that runs this; every handler has one."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  (for the type checker)
    return task
