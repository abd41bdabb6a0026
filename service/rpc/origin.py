"""What a caller calls its request: its own id for it, and the trace that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

Metadata: TypeAlias = "Iterable[tuple[str, str | bytes]] | None"

# Version ff is invalid, as are ids of zeros. A later version may have more after the flags.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?![^-])"
)

_CHARACTERS: Final = 128
"""What is logged of a request's id, at most."""


class TraceParent(NamedTuple):
    """The caller's span, as W3C Trace Context has it: ids in hexadecimal."""

    trace_id: str
    span_id: str
    sampled: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Of one request.

    Args:
        request_id: What the caller sent as `x-request-id`, printable and cut; "" without one.
        trace: What it sent as `traceparent`; None: nothing, or something malformed.
    """

    request_id: str = ""
    trace: TraceParent | None = None

    def log_fields(self) -> dict[str, str]:
        """The fields of log lines about it."""
        fields = {}
        if self.request_id:
            fields["x_request_id"] = self.request_id
        if self.trace is not None:
            fields["trace_id"] = self.trace.trace_id
        return fields


def origin_of(metadata: Metadata) -> Origin:
    """Read from the metadata of a call, or the headers of a request, with names in lower case."""
    request_id, trace = "", None
    for name, value in metadata or ():
        if not isinstance(value, str):
            continue
        if name == "x-request-id":
            request_id = "".join(c for c in value if c.isprintable())[:_CHARACTERS]
        elif name == "traceparent" and (match := _TRACEPARENT.match(value)):
            trace = TraceParent(match[1], match[2], sampled=bool(int(match[3], 16) & 1))
    return Origin(request_id, trace)
