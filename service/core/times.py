"""Instants: integer microseconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

SECOND = 1_000_000
"""In the unit of instants."""

FOREVER = 2**63 - 1
"""Later than every instant."""

EARLIEST = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z, the earliest instant of a protobuf Timestamp."""

LATEST = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z, the latest instant of a protobuf Timestamp."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d)))?",
    re.ASCII,
)


class Moment(NamedTuple):
    """An instant, and how many minutes the clocks were ahead of UTC where it is told; None:
    unknown."""

    instant: int
    offset: int | None = None


def parse_instant(text: str) -> int | None:
    """The instant an RFC 3339 date-time or date stands for; None if it is neither.

    A date is midnight UTC. Digits below the microsecond are cut off.
    """
    moment = parse_moment(text)
    return None if moment is None else moment.instant


def parse_moment(text: str) -> Moment | None:
    """`parse_instant` with the UTC offset that is written; without one it is 0."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, off_h, off_m = match.groups()
    leap = second == "60"  # RFC 3339 allows leap seconds; datetime does not.
    try:
        moment = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            59 if leap else int(second or 0),
            int((fraction or "").ljust(6, "0")[:6]),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    value = (moment - _EPOCH) // _MICROSECOND + (1_000_000 if leap else 0)
    offset = 0
    if sign is not None:
        if int(off_h) > 23 or int(off_m) > 59:
            return None
        offset = int(off_h) * 60 + int(off_m)
        if sign == "-":
            offset = -offset
    value -= offset * 60 * SECOND
    return Moment(value, offset) if EARLIEST <= value <= LATEST else None


def rfc3339(instant: int, timespec: str = "microseconds") -> str:
    """As RFC 3339 has it, in UTC: "2026-05-08T12:00:00.000000Z".

    Args:
        instant: To be cut off below `timespec`.
        timespec: That of `datetime.isoformat`.
    """
    moment = _EPOCH + timedelta(microseconds=instant)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def system_clock() -> int:
    """The wall clock, in microseconds."""
    return time.time_ns() // 1000


class WallClock:
    """The current time: to decide what has expired and what lies ahead, never for order.

    The wall clock can be wrong for a while and be set back. The order of writes is given
    by the commit times of a tenant, which its database keeps.

    Args:
        source: The wall clock, in microseconds.
        elapsed: Seconds since an arbitrary start; cannot be set.
    """

    def __init__(
        self,
        source: Callable[[], int] = system_clock,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.now = source
        self.elapsed = elapsed
