"""Timestamps: instants of whole microseconds on this side, seconds and nanoseconds on the wire."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from service.core.errors import Violation
from service.core.times import EARLIEST, LATEST, parse_instant


def instant(stamp: Timestamp, path: str, violations: list[Violation]) -> int:
    """Microseconds; digits below them are cut off."""
    if not 0 <= stamp.nanos <= 999_999_999:
        violations.append(Violation(f"{path}.nanos", "must be from 0 to 999,999,999"))
    value = stamp.seconds * 1_000_000 + stamp.nanos // 1000
    if not EARLIEST <= value <= LATEST:
        violations.append(Violation(path, "must lie in the years 1 to 9999"))
    return value


def to_proto(microseconds: int, stamp: Timestamp) -> None:
    seconds, rest = divmod(microseconds, 1_000_000)
    # A stamp is present once something was assigned, also when that is zero.
    stamp.seconds = seconds
    stamp.nanos = rest * 1000


def check_text(text: str, path: str, violations: list[Violation]) -> None:
    """A date written out: kept as it is, and refused when it is none."""
    if parse_instant(text) is None:
        violations.append(
            Violation(path, "must be an RFC 3339 date or date-time, such as 2026-05-08")
        )
