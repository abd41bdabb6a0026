"""One call in progress, as the policy of calls sees it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from service.core.errors import PalimpsestError
from service.core.model import Principal
from service.rpc.origin import Origin
from service.rpc.peers import Connection
from service.rpc.quotas import Account
from service.runtime.call_stages import CallStages

ANONYMOUS: Final = Principal(tenant=0, key_id="")
"""The principal of calls that need no key."""

_PROCESS: Final = secrets.token_hex(4)
_numbers: Final = itertools.count(1)


def new_call_id() -> str:
    """An id that is unique in the logs of all processes."""
    return f"{_PROCESS}-{next(_numbers):x}"


class ActiveCall:
    """A call in progress.

    Args:
        method: Its path.
        connection: The connection of its caller.
        task: Runs its handler.
        origin: Returns what its caller calls the request.
        stages: Where its stages are noted; None: nothing wants to know them.
    """

    __slots__ = (
        "_task",
        "account",
        "call_id",
        "connection",
        "failure",
        "keyless",
        "method",
        "origin",
        "principal",
        "received",
        "receiving",
        "refuse",
        "request_bytes",
        "stages",
        "started",
        "token",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        connection: Connection,
        task: asyncio.Task[Any],
        origin: Callable[[], Origin],
        stages: CallStages | None = None,
    ) -> None:
        self.method = method
        self.connection = connection
        self._task: asyncio.Task[Any] | None = task
        self.origin = origin
        self.stages = stages
        self.call_id = new_call_id()
        self.started = perf_counter()
        self.principal = ANONYMOUS
        self.account: Account | None = None
        self.token = ""
        self.keyless = False
        """Whether it counts against the budget of calls without a key."""
        self.receiving = False
        """Whether its message has been asked for."""
        self.received = False
        """Whether its message has arrived."""
        self.request_bytes = 0
        """Bytes of its request that are counted as in use."""
        self.refuse: Callable[[PalimpsestError], None] | None = None
        """Ends it while its message is being received, when its task must not be cancelled."""
        self.failure: PalimpsestError | None = None
        """Why it was ended from outside."""

    def end(self, failure: PalimpsestError) -> None:
        """End it from outside with this error. Only the first call has an effect."""
        if self.failure is not None:
            return
        self.failure = failure
        if self.refuse is not None:
            self.refuse(failure)
        elif self._task is not None:
            self._task.cancel()

    def ended(self) -> PalimpsestError | None:
        """Why it was ended, if it was; its task then continues, to answer its caller."""
        task = self._task
        if self.failure is not None and task is not None and task.cancelling():
            task.uncancel()
        return self.failure

    def over(self) -> None:
        """Its handler has returned. Breaks the cycle of task and call: gRPC's objects must be
        freed with the task, not by the garbage collector in any thread at any time."""
        self._task = None
