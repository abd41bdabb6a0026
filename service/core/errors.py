"""Errors a caller can act on, and the gRPC code each reason stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum


class Code(IntEnum):
    """Numbers of google.rpc.Code."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Reason(Enum):
    """Reasons of the contract's ErrorReason; the value is the code."""

    def __new__(cls, code: Code) -> Reason:
        member = object.__new__(cls)
        # Members must differ by value, or Enum would make them aliases.
        member._value_ = len(cls.__members__)
        member.code = code
        return member

    code: Code

    KEY_MISSING = Code.UNAUTHENTICATED
    KEY_INVALID = Code.UNAUTHENTICATED
    KEY_READ_ONLY = Code.PERMISSION_DENIED
    CONTAINER_NOT_ALLOWED = Code.PERMISSION_DENIED
    INVALID_REQUEST = Code.INVALID_ARGUMENT
    MALFORMED_MESSAGE = Code.INVALID_ARGUMENT
    INVALID_PAGE_TOKEN = Code.INVALID_ARGUMENT
    REQUEST_ID_REUSED = Code.INVALID_ARGUMENT
    DOCUMENT_NOT_FOUND = Code.NOT_FOUND
    MEMORY_NOT_FOUND = Code.NOT_FOUND
    CONTAINER_NOT_FOUND = Code.NOT_FOUND
    FORGET_BATCH_NOT_FOUND = Code.NOT_FOUND
    CUSTOM_ID_EXISTS = Code.ALREADY_EXISTS
    CUSTOM_ID_IN_OTHER_CONTAINER = Code.FAILED_PRECONDITION
    MEMORY_NOT_LATEST = Code.FAILED_PRECONDITION
    MEMORY_FORGOTTEN = Code.FAILED_PRECONDITION
    MEMORY_NOT_FORGOTTEN = Code.FAILED_PRECONDITION
    CONTENT_MISMATCH = Code.FAILED_PRECONDITION
    AMBIGUOUS_CONTENT = Code.FAILED_PRECONDITION
    TOO_MANY_MATCHES = Code.FAILED_PRECONDITION
    ETAG_MISMATCH = Code.ABORTED
    REQUEST_IN_PROGRESS = Code.ABORTED
    OVERLOADED = Code.RESOURCE_EXHAUSTED
    MESSAGE_TOO_LARGE = Code.RESOURCE_EXHAUSTED
    STORAGE_FULL = Code.RESOURCE_EXHAUSTED
    SHUTTING_DOWN = Code.UNAVAILABLE
    STORAGE_UNAVAILABLE = Code.UNAVAILABLE
    TIME_IN_FUTURE = Code.OUT_OF_RANGE
    METHOD_NOT_FOUND = Code.UNIMPLEMENTED
    DEADLINE_EXCEEDED = Code.DEADLINE_EXCEEDED
    INTERNAL = Code.INTERNAL


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the path of the field and what is wrong with it."""

    field: str
    rule: str


class PalimpsestError(Exception):
    """A failure the caller is told about.

    Args:
        reason: Which failure; it fixes the gRPC code.
        message: For a person; never holds content, secrets or SQL.
        violations: Fields at fault (becomes BadRequest).
        resource: Kind and name of what is missing or in the way
            (becomes ResourceInfo or PreconditionFailure).
        metadata: Machine-readable facts, such as `latest_id` (ErrorInfo).
        retry_after: Seconds after which a retry makes sense (RetryInfo).
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        resource: tuple[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.resource = resource
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after

    @property
    def code(self) -> Code:
        return self.reason.code


def invalid(violations: Sequence[Violation]) -> PalimpsestError:
    """INVALID_ARGUMENT that names every broken rule."""
    listed = "; ".join(f"{v.field}: {v.rule}" if v.field else v.rule for v in violations[:5])
    more = f"; and {len(violations) - 5} more" if len(violations) > 5 else ""
    return PalimpsestError(Reason.INVALID_REQUEST, listed + more, violations=violations)


def document_not_found() -> PalimpsestError:
    return PalimpsestError(
        Reason.DOCUMENT_NOT_FOUND, "Document not found", resource=("palimpsest.v1.Document", "")
    )


def memory_not_found() -> PalimpsestError:
    return PalimpsestError(
        Reason.MEMORY_NOT_FOUND, "Memory not found", resource=("palimpsest.v1.Memory", "")
    )


def etag_mismatch(kind: str) -> PalimpsestError:
    return PalimpsestError(
        Reason.ETAG_MISMATCH,
        f"The {kind} has changed: its etag is not the one given. Read it again and decide",
        retry_after=0,
    )


def container_not_allowed() -> PalimpsestError:
    return PalimpsestError(
        Reason.CONTAINER_NOT_ALLOWED, "The key is limited to containers, and this is about another"
    )
