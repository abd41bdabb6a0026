"""A daily window of time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

PATTERN: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"
"""`HH:MM-HH:MM`."""

_MINUTE: Final = 60_000_000
_DAY: Final = 24 * 60 * _MINUTE


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """From `begin` until before `end`, in microseconds after midnight UTC.

    It passes midnight when it ends before it begins, and is the whole day when
    both are the same.
    """

    begin: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `HH:MM-HH:MM`. Raises ValueError."""
        if re.fullmatch(PATTERN, text) is None:
            raise ValueError("a window is HH:MM-HH:MM, such as 03:00-05:00")
        begin, end = (
            (int(part[:2]) * 60 + int(part[3:])) * _MINUTE for part in text.split("-", maxsplit=1)
        )
        return cls(begin, end)

    def opened(self, instant: int) -> int | None:
        """When the window that `instant` lies in began; None if it lies in none."""
        since = (instant - self.begin) % _DAY
        length = (self.end - self.begin) % _DAY or _DAY
        return instant - since if since < length else None
