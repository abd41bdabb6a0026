"""Exceptions for failed calls: one class for each family of reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS: Final = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a field of the request breaks.

    Attributes:
        field: Its path: "memories[0].content"; empty: the request as a whole.
        rule: What it has to be.
    """

    field: str
    rule: str


class PalimpsestError(Exception):
    """A call failed.

    Attributes:
        code: The gRPC status code.
        reason: From `ErrorReason` in errors.proto, without the prefix: "MEMORY_NOT_LATEST". Empty
            if the service was not reached or did not answer in time.
        message: For people.
        violations: Of INVALID_ARGUMENT.
        metadata: What the reason names, such as ids.
        retry_after: Seconds after which a retry makes sense, if the service says so.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        violations: Sequence[Violation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{message} ({reason or code.name})")
        self.code = code
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after


class AuthenticationError(PalimpsestError):
    """UNAUTHENTICATED: no key, or one that is unknown, revoked or expired."""


class PermissionDeniedError(PalimpsestError):
    """PERMISSION_DENIED: the key may only read, or not in this container."""


class InvalidRequestError(PalimpsestError):
    """INVALID_ARGUMENT: the request can never succeed."""


class NotFoundError(PalimpsestError):
    """NOT_FOUND: there is no such document, memory, container or batch."""


class ConflictError(PalimpsestError):
    """ALREADY_EXISTS or ABORTED: another call was first; read again and decide."""


class PreconditionError(PalimpsestError):
    """FAILED_PRECONDITION: the state forbids it; the reason says which state."""


class OutOfRangeError(PalimpsestError):
    """OUT_OF_RANGE: a revision that is not kept, or a time in the future."""


class ResourceExhaustedError(PalimpsestError):
    """RESOURCE_EXHAUSTED: a quota is used up, or the service has too much to do."""


class UnavailableError(PalimpsestError):
    """UNAVAILABLE: the service could not be reached in time, or is stopping."""


class DeadlineError(PalimpsestError):
    """DEADLINE_EXCEEDED: the answer did not come in time."""


_CLASSES: Final[Mapping[grpc.StatusCode, type[PalimpsestError]]] = {
    grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ConflictError,
    grpc.StatusCode.ABORTED: ConflictError,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRangeError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
}


def error_of(failed: Any) -> PalimpsestError:
    """The exception for what a stub raised: a `grpc.RpcError` that is a call as well."""
    code: grpc.StatusCode = failed.code()
    reason, retry_after = "", None
    metadata: dict[str, str] = {}
    violations: list[Violation] = []
    for detail in _details(failed):
        if isinstance(detail, error_details_pb2.ErrorInfo):
            reason, metadata = detail.reason, dict(detail.metadata)
        elif isinstance(detail, error_details_pb2.RetryInfo):
            retry_after = detail.retry_delay.ToTimedelta().total_seconds()
        elif isinstance(detail, error_details_pb2.BadRequest):
            violations = [Violation(v.field, v.description) for v in detail.field_violations]
    return _CLASSES.get(code, PalimpsestError)(
        code,
        failed.details() or code.name,
        reason=reason,
        violations=violations,
        metadata=metadata,
        retry_after=retry_after,
    )


def not_reached(address: str) -> PalimpsestError:
    """The exception for a call whose time passed without a connection."""
    return UnavailableError(grpc.StatusCode.UNAVAILABLE, f"There is no connection to {address}")


def _details(failed: Any) -> list[Any]:
    """The details of the status that are of a known type."""
    kinds: Sequence[Any] = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.RetryInfo,
        error_details_pb2.BadRequest,
    )
    raw = dict(failed.trailing_metadata() or ()).get(_DETAILS, b"")
    try:
        status = status_pb2.Status.FromString(raw)
        return [
            kind.FromString(packed.value)
            for packed in status.details
            for kind in kinds
            if packed.Is(kind.DESCRIPTOR)
        ]
    except DecodeError:
        return []  # of something between the client and the service
