"""What the tests of this folder did, for the end of a run."""

from __future__ import annotations

LINES: list[str] = []
