"""What a handler raised, as the error the caller is told."""

from __future__ import annotations

import asyncio
import traceback
from typing import Final

import structlog
from google.protobuf.message import DecodeError
from grpc.aio import InternalError

from service.core.errors import Code, PalimpsestError, Reason

_log = structlog.get_logger("palimpsest.rpc")

_SERVICE_SIDE: Final = frozenset(
    {Code.INTERNAL, Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED}
)


def failure_of(error: BaseException, call_id: str) -> PalimpsestError:
    """The error to answer with. Logs what nobody expected.

    Raises `error` itself again when the caller cancelled: nobody wants an answer.
    """
    if isinstance(error, PalimpsestError):
        return error
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise error
    if isinstance(error, InternalError):
        # gRPC could not send: the connection is gone, and with it whoever waits.
        raise asyncio.CancelledError from None
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


def describe(error: BaseException) -> list[str]:
    """Kinds and places of an exception and its causes.

    Without their texts: those of a database hold what callers wrote.
    """
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        kind = type(current)
        lines.append(f"{kind.__module__}.{kind.__qualname__}")
        lines.extend(
            f"  {frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(current.__traceback__)
        )
        current = current.__cause__ or current.__context__
    return lines
