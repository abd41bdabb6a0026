"""Errors a caller can act on, and the gRPC code each reason stands for."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import partial
from typing import Any


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


class Reason(StrEnum):
    """Reasons of the contract's ErrorReason, without its prefix."""

    KEY_MISSING = "KEY_MISSING"
    KEY_INVALID = "KEY_INVALID"
    KEY_READ_ONLY = "KEY_READ_ONLY"
    CONTAINER_NOT_ALLOWED = "CONTAINER_NOT_ALLOWED"
    INVALID_REQUEST = "INVALID_REQUEST"
    MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"  # noqa: S105  (a name, no password)
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    DOCUMENT_NOT_FOUND = "DOCUMENT_NOT_FOUND"
    MEMORY_NOT_FOUND = "MEMORY_NOT_FOUND"
    CONTAINER_NOT_FOUND = "CONTAINER_NOT_FOUND"
    FORGET_BATCH_NOT_FOUND = "FORGET_BATCH_NOT_FOUND"
    CUSTOM_ID_EXISTS = "CUSTOM_ID_EXISTS"
    CUSTOM_ID_IN_OTHER_CONTAINER = "CUSTOM_ID_IN_OTHER_CONTAINER"
    MEMORY_NOT_LATEST = "MEMORY_NOT_LATEST"
    MEMORY_FORGOTTEN = "MEMORY_FORGOTTEN"
    MEMORY_NOT_FORGOTTEN = "MEMORY_NOT_FORGOTTEN"
    CONTENT_MISMATCH = "CONTENT_MISMATCH"
    AMBIGUOUS_CONTENT = "AMBIGUOUS_CONTENT"
    AMBIGUOUS_CUSTOM_ID = "AMBIGUOUS_CUSTOM_ID"
    TOO_MANY_MATCHES = "TOO_MANY_MATCHES"
    NOT_A_CONVERSATION = "NOT_A_CONVERSATION"
    CONTENT_TOO_LARGE = "CONTENT_TOO_LARGE"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    REQUEST_IN_PROGRESS = "REQUEST_IN_PROGRESS"
    OVERLOADED = "OVERLOADED"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    STORAGE_FULL = "STORAGE_FULL"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    TIME_IN_FUTURE = "TIME_IN_FUTURE"
    REVISION_GONE = "REVISION_GONE"
    REVISION_AHEAD = "REVISION_AHEAD"
    METHOD_NOT_FOUND = "METHOD_NOT_FOUND"
    SERVICE_NOT_FOUND = "SERVICE_NOT_FOUND"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"

    @property
    def code(self) -> Code:
        """The code that every error of this reason has."""
        return _CODES[self]


_REASONS: dict[Code, tuple[Reason, ...]] = {
    Code.UNAUTHENTICATED: (
        Reason.KEY_MISSING,
        Reason.KEY_INVALID,
    ),
    Code.PERMISSION_DENIED: (
        Reason.KEY_READ_ONLY,
        Reason.CONTAINER_NOT_ALLOWED,
    ),
    Code.INVALID_ARGUMENT: (
        Reason.INVALID_REQUEST,
        Reason.MALFORMED_MESSAGE,
        Reason.INVALID_PAGE_TOKEN,
        Reason.REQUEST_ID_REUSED,
    ),
    Code.NOT_FOUND: (
        Reason.DOCUMENT_NOT_FOUND,
        Reason.MEMORY_NOT_FOUND,
        Reason.CONTAINER_NOT_FOUND,
        Reason.FORGET_BATCH_NOT_FOUND,
        Reason.SERVICE_NOT_FOUND,
    ),
    Code.ALREADY_EXISTS: (Reason.CUSTOM_ID_EXISTS,),
    Code.FAILED_PRECONDITION: (
        Reason.CUSTOM_ID_IN_OTHER_CONTAINER,
        Reason.MEMORY_NOT_LATEST,
        Reason.MEMORY_FORGOTTEN,
        Reason.MEMORY_NOT_FORGOTTEN,
        Reason.CONTENT_MISMATCH,
        Reason.AMBIGUOUS_CONTENT,
        Reason.AMBIGUOUS_CUSTOM_ID,
        Reason.TOO_MANY_MATCHES,
        Reason.NOT_A_CONVERSATION,
        Reason.CONTENT_TOO_LARGE,
    ),
    Code.ABORTED: (
        Reason.ETAG_MISMATCH,
        Reason.REQUEST_IN_PROGRESS,
    ),
    Code.RESOURCE_EXHAUSTED: (
        Reason.OVERLOADED,
        Reason.MESSAGE_TOO_LARGE,
        Reason.STORAGE_FULL,
        Reason.QUOTA_EXCEEDED,
    ),
    Code.UNAVAILABLE: (
        Reason.SHUTTING_DOWN,
        Reason.STORAGE_UNAVAILABLE,
    ),
    Code.OUT_OF_RANGE: (
        Reason.TIME_IN_FUTURE,
        Reason.REVISION_GONE,
        Reason.REVISION_AHEAD,
    ),
    Code.UNIMPLEMENTED: (Reason.METHOD_NOT_FOUND,),
    Code.DEADLINE_EXCEEDED: (Reason.DEADLINE_EXCEEDED,),
    Code.INTERNAL: (Reason.INTERNAL,),
}
_CODES: dict[Reason, Code] = {
    reason: code for code, reasons in _REASONS.items() for reason in reasons
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the path of the field and what is wrong with it."""

    field: str
    rule: str


class PalimpsestError(Exception):
    """A failure that is reported to the caller.

    Args:
        reason: Which failure; it fixes the gRPC code.
        message: For a person; never holds content, secrets or SQL.
        violations: Fields at fault (becomes BadRequest).
        resource: Type and name of what is missing or conflicts
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

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled by their positional arguments alone.
        named = {
            name: getattr(self, name)
            for name in ("violations", "resource", "metadata", "retry_after")
        }
        return partial(type(self), self.reason, self.message, **named), ()


def invalid(violations: Sequence[Violation]) -> PalimpsestError:
    """INVALID_ARGUMENT that names every broken rule."""
    listed = "; ".join(f"{v.field}: {v.rule}" if v.field else v.rule for v in violations[:5])
    more = f"; and {len(violations) - 5} more" if len(violations) > 5 else ""
    return PalimpsestError(Reason.INVALID_REQUEST, listed + more, violations=violations)


def with_fields_renamed(error: PalimpsestError, rename: Callable[[str], str]) -> PalimpsestError:
    """The same error, with the paths of its fields as `rename` writes them."""
    if not error.violations:
        return error
    violations = [Violation(rename(v.field), v.rule) for v in error.violations]
    if error.reason is Reason.INVALID_REQUEST:
        return invalid(violations)
    return PalimpsestError(
        error.reason,
        error.message,
        violations=violations,
        resource=error.resource,
        metadata=error.metadata,
        retry_after=error.retry_after,
    )


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


class UnexpectedError(Exception):
    """An unexpected exception of another process.

    Args:
        trace: What `describe` returned for it there.
    """

    def __init__(self, trace: Sequence[str]) -> None:
        super().__init__(trace)
        self.trace = trace


def describe(error: BaseException) -> list[str]:
    """The types and traceback of an exception and of its causes.

    Without messages: those of a database contain what callers wrote.
    """
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        lines.append(_title(current))
        lines.extend(
            f"  {frame.filename}:{frame.lineno} in {frame.name}"
            for frame in traceback.extract_tb(current.__traceback__)
        )
        if isinstance(current, UnexpectedError):
            lines.extend(current.trace)
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return lines


def _title(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, OSError):
        # An error number, and a path of the operator's own.
        return f"{name}: {error}"
    code = getattr(error, "sqlite_errorname", None)
    return f"{name}: {code}" if code else name


class OpenTimeError(Exception):
    """A read of the past that may still change, where nothing can be written to prevent it.

    Args:
        instant: The instant, in microseconds.
    """

    def __init__(self, instant: int) -> None:
        super().__init__(instant)
        self.instant = instant
