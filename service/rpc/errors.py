"""The one table from errors to google.rpc.Status."""

from __future__ import annotations

from typing import Any, Final, TypeAlias
from urllib.parse import quote

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from service.core.errors import Code, PalimpsestError, Reason

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

DOMAIN: Final = "palimpsest"

REASON_METADATA: Final = "palimpsest-reason"
"""The trailing metadata with the reason, for clients that cannot read status details."""

_MAX_VIOLATIONS: Final = 100
_MAX_STATUS_BYTES: Final = 4096
"""gRPC refuses more than 8 KiB of trailers; details travel there as base 64."""
_MAX_MESSAGE_BYTES: Final = 1536
"""As the trailer has it, percent-encoded."""


def status_of(error: PalimpsestError, call_id: str = "") -> Status:
    """What the caller is sent: one ErrorInfo, and details that fit its reason.

    Args:
        error: What went wrong.
        call_id: Names the call in the service's log; told with INTERNAL only.
    """
    message = _shorten(error.message)
    status = Status(code=int(error.code), message=message)
    info = details.ErrorInfo(reason=error.reason.name, domain=DOMAIN, metadata=error.metadata)
    if error.reason is Reason.INTERNAL and call_id:
        info.metadata["call_id"] = call_id
    _add(status, info)
    kind, name = error.resource or ("", "")
    if kind and error.code in (Code.NOT_FOUND, Code.ALREADY_EXISTS):
        _add(
            status,
            details.ResourceInfo(resource_type=kind, resource_name=name, description=message),
        )
    if error.code is Code.FAILED_PRECONDITION:
        failure = details.PreconditionFailure()
        failure.violations.add(type=error.reason.name, subject=name, description=message)
        _add(status, failure)
    if error.retry_after is not None:
        retry = details.RetryInfo()
        retry.retry_delay.FromMicroseconds(int(error.retry_after * 1_000_000))
        _add(status, retry)
    if error.violations:
        _add(status, _bad_request(error, _MAX_STATUS_BYTES - status.ByteSize()))
    return status


async def abort(context: Context, error: PalimpsestError, call_id: str = "") -> None:
    """Answers the call with the error; never returns.

    The caller has the answer before this raises, so nothing may still have to
    be undone.
    """
    status = rpc_status.to_status(status_of(error, call_id))
    reason = (REASON_METADATA, error.reason.name)
    await context.abort(status.code, status.details, (*status.trailing_metadata, reason))


def _add(status: Status, detail: Message) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)


def _shorten(message: str) -> str:
    if len(quote(message)) <= _MAX_MESSAGE_BYTES:
        return message
    kept = message[:_MAX_MESSAGE_BYTES]
    while len(quote(kept)) > _MAX_MESSAGE_BYTES:
        kept = kept[: len(kept) * 3 // 4]
    return kept + "…"


def _bad_request(error: PalimpsestError, room: int) -> details.BadRequest:
    request = details.BadRequest()
    # Room for the wrapping, and for the line that counts what is left out.
    room -= 160
    for index, violation in enumerate(error.violations):
        request.field_violations.add(field=violation.field[:300], description=violation.rule[:500])
        if index >= _MAX_VIOLATIONS or request.ByteSize() > room:
            del request.field_violations[-1]
            left = len(error.violations) - index
            request.field_violations.add(description=f"and {left} more")
            break
    return request
