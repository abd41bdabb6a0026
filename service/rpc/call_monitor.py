"""What the operator learns of calls that have ended: counts, log lines and traces."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any, Final, Protocol

import structlog

from service.core.errors import Code, PalimpsestError
from service.rpc.active_call import ActiveCall
from service.rpc.call_statistics import CallStatistics
from service.rpc.failures import is_callers_mistake
from service.runtime import logs
from service.runtime.call_stages import REQUESTED, CallStages

SLOW_SECONDS: Final = 1.0
"""A call that takes longer is logged: the default."""


class CallTraces(Protocol):
    """Takes the calls that have ended, as spans of a distributed trace."""

    def ended(
        self, call: ActiveCall, code: str, failure: PalimpsestError | None, seconds: float
    ) -> None:
        """A call has ended. Must be quick: its caller waits. What it raises is logged.

        Args:
            call: The call, with its stages.
            code: The name of its status, or a word for an end without one.
            failure: The error that its caller got.
            seconds: How long it took.
        """
        ...


class CallMonitor:
    """Is told of all calls of all transports.

    Args:
        statistics: Counts calls; None: they are not counted.
        slow_seconds: A call that takes longer is logged, unless its caller wanted to wait so
            long; 0: none is.
        traces: Gets the calls as spans; None: they are not traced.
    """

    def __init__(
        self,
        statistics: CallStatistics | None = None,
        slow_seconds: float = SLOW_SECONDS,
        traces: CallTraces | None = None,
    ) -> None:
        self._statistics = statistics
        self._slow_seconds = slow_seconds
        self._traces = traces
        self._log = structlog.get_logger("palimpsest.rpc")
        self._log_all = bool(self._log.is_enabled_for(logging.DEBUG))
        # Callers can cause these lines at any rate.
        self._limited_log = logs.LimitedLogger("palimpsest.rpc", limit=10, seconds=1.0)

    def stages(self) -> CallStages | None:
        """Where the stages of a call that begins are noted; None: nothing wants to know them."""
        return CallStages() if self._slow_seconds or self._traces is not None else None

    def key_refused(self, call: ActiveCall, key_id: str) -> None:
        """A call came with a key that is not valid; `key_id` is what it claims to be."""
        self._limited_log.warning(
            "key refused",
            peer=call.connection.peer,
            key=key_id,
            method=call.method,
            **call.origin().log_fields(),
        )

    def refused(self, reason: str) -> None:
        """A call was refused before it was one, for the reason of this name."""
        if self._statistics is not None:
            self._statistics.refused(reason)

    def ended(self, call: ActiveCall, outcome: str, failure: PalimpsestError | None) -> None:
        """A call has ended.

        Args:
            call: The call.
            outcome: The name of its code, or a word for an end without one.
            failure: The error that its caller gets.
        """
        seconds = perf_counter() - call.started
        if self._statistics is not None:
            reason = failure.reason.name if failure is not None else None
            self._statistics.ended(call.method, outcome, seconds, reason)
        if call.stages is not None and 0 < self._slow_seconds < seconds:
            self._report_slow(call, outcome, failure, seconds, call.stages.seconds())
        if self._log_all or failure is not None:
            self._report(call, outcome, failure, seconds)
        if self._traces is not None:
            try:
                self._traces.ended(call, outcome, failure, seconds)
            except Exception:  # noqa: BLE001  (the call has nothing to do with it)
                self._log.exception("a call is not traced", call_id=call.call_id)

    def _report_slow(
        self,
        call: ActiveCall,
        outcome: str,
        failure: PalimpsestError | None,
        seconds: float,
        stages: dict[str, float],
    ) -> None:
        requested = sum(stages.get(name, 0.0) for name in REQUESTED)
        if seconds - requested <= self._slow_seconds:
            return
        known = sum(took for name, took in stages.items() if "." not in name)
        stages["other"] = max(0.0, seconds - known)
        self._limited_log.warning(
            "slow call",
            seconds=round(seconds, 4),
            stages={name: round(took, 4) for name, took in stages.items()},
            **_fields(call, outcome, failure),
        )

    def _report(
        self, call: ActiveCall, outcome: str, failure: PalimpsestError | None, seconds: float
    ) -> None:
        if failure is None or is_callers_mistake(failure):
            if not self._log_all:
                return
            write = self._log.debug
        elif failure.code is Code.RESOURCE_EXHAUSTED:
            write = self._limited_log.info
        else:
            write = self._log.info
        milliseconds = round(seconds * 1000, 3)
        write("call", milliseconds=milliseconds, **_fields(call, outcome, failure))


def _fields(call: ActiveCall, outcome: str, failure: PalimpsestError | None) -> dict[str, Any]:
    return {
        "method": call.method,
        "code": outcome,
        "reason": failure.reason.name if failure else None,
        "tenant": call.principal.tenant_name or call.principal.tenant,
        "key": call.principal.key_id,
        "peer": call.connection.peer,
        "call_id": call.call_id,
        **call.origin().log_fields(),
    }
