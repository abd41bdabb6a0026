"""Maps exceptions of handlers to the errors that callers get."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from service.core.errors import Code, PalimpsestError, Reason, describe

_log = structlog.get_logger("palimpsest.rpc")

_SERVICE_SIDE: Final = frozenset(
    {Code.INTERNAL, Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED}
)


def failure_of(error: BaseException, call_id: str) -> PalimpsestError:
    """The error to answer with. Logs unexpected exceptions.

    Re-raises `error` when the caller cancelled: no answer is needed.
    """
    if isinstance(error, PalimpsestError):
        return error
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise error
    if isinstance(error, DecodeError):
        return malformed()
    _log.error("unexpected", call_id=call_id, trace=describe(error))
    return PalimpsestError(
        Reason.INTERNAL, "The service failed; its log has more under the call_id"
    )


def malformed() -> PalimpsestError:
    return PalimpsestError(
        Reason.MALFORMED_MESSAGE, "The bytes are not a request message of this method"
    )


def is_callers_mistake(failure: PalimpsestError) -> bool:
    return failure.code not in _SERVICE_SIDE
