"""The one table from errors to statuses of HTTP, and the headers that go with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from service.core.errors import Code, PalimpsestError, Reason

_STATUS: Final[Mapping[Code, int]] = {
    Code.INVALID_ARGUMENT: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.FAILED_PRECONDITION: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}

_STATUS_OF_REASON: Final[Mapping[Reason, int]] = {
    Reason.MESSAGE_TOO_LARGE: 413,
    Reason.STORAGE_FULL: 507,
}

_RETRYABLE: Final = frozenset(
    {
        Reason.OVERLOADED,
        Reason.QUOTA_EXCEEDED,
        Reason.REQUEST_IN_PROGRESS,
        Reason.SHUTTING_DOWN,
        Reason.STORAGE_UNAVAILABLE,
    }
)
"""A repetition of the same request may succeed."""


class HttpError(PalimpsestError):
    """A failure that only HTTP knows, such as a path that does not exist.

    Args:
        status: Of the answer.
        reason: The one of the contract that is nearest.
        message: For a person.
        headers: Of the answer.
    """

    def __init__(
        self, status: int, reason: Reason, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(reason, message)
        self.status = status
        self.headers = dict(headers or {})


def http_status(error: PalimpsestError, *, if_match: bool = False) -> int:
    """The status that an error is answered with.

    Args:
        error: What went wrong.
        if_match: Whether the caller gave the etag as the header If-Match (RFC 9110, 13.1.1).
    """
    if isinstance(error, HttpError):
        return error.status
    if if_match and error.reason is Reason.ETAG_MISMATCH:
        return 412
    return _STATUS_OF_REASON.get(error.reason) or _STATUS[error.code]


def error_headers(error: PalimpsestError) -> list[tuple[str, str]]:
    """Whether and when to try again, and how to authenticate.

    `x-should-retry` is read by client libraries that otherwise repeat every 409 and 5xx.
    """
    headers = []
    retryable = error.reason in _RETRYABLE
    if retryable and error.retry_after is not None:
        headers += [
            ("retry-after", str(max(1, math.ceil(error.retry_after)))),
            ("retry-after-ms", str(math.ceil(error.retry_after * 1000))),
        ]
    headers.append(("x-should-retry", "true" if retryable else "false"))
    if error.code is Code.UNAUTHENTICATED:
        headers.append(("www-authenticate", "Bearer"))
    if isinstance(error, HttpError):
        headers.extend(error.headers.items())
    return headers


def path_not_found() -> HttpError:
    return HttpError(404, Reason.METHOD_NOT_FOUND, "There is no such path; /docs lists them")


def verb_not_allowed(allowed: str) -> HttpError:
    return HttpError(
        405, Reason.METHOD_NOT_FOUND, f"This path answers {allowed} only", {"allow": allowed}
    )


def unsupported_media(message: str) -> HttpError:
    return HttpError(415, Reason.INVALID_REQUEST, message)


def not_served(message: str) -> HttpError:
    """501: a call of a mirrored API that this service does not have."""
    return HttpError(501, Reason.METHOD_NOT_FOUND, message)
