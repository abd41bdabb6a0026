"""Texts that occur nowhere by chance, and a search for them in what is stored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.backends.base import Backend
from tests.backends.files import matches_in

_MARKER = re.compile(rb"zq(\d{9})")


class Markers:
    """Makes markers, and knows what each was used for.

    A marker can be content, a custom id, a title, a metadata key or value, or a
    reason. It is lower case, so that case folding does not hide it.
    """

    def __init__(self) -> None:
        self._roles: list[str] = []

    def __len__(self) -> int:
        return len(self._roles)

    def new(self, role: str) -> str:
        self._roles.append(role)
        return f"zq{len(self._roles) - 1:09d}"

    def others(self, markers: Iterable[str]) -> set[str]:
        """All that were made but these."""
        return {f"zq{number:09d}" for number in range(len(self._roles))}.difference(markers)

    def roles(self, markers: Iterable[str]) -> dict[str, int]:
        """How many of these were used for what."""
        return dict(Counter(self._roles[int(marker[2:])] for marker in markers))


def found_in(directory: Path) -> set[str]:
    """The markers in the raw bytes of all files of a folder and those in it."""
    return _named(matches_in(directory, _MARKER))


def stored_in(backend: Backend) -> set[str]:
    """The markers in all that a database stores."""
    return _named(backend.matches(_MARKER))


def _named(numbers: Iterable[bytes]) -> set[str]:
    return {f"zq{number.decode()}" for number in numbers}
