"""Instants, as commands print them."""

from __future__ import annotations

from datetime import UTC, datetime


def instant(microseconds: int) -> str:
    """RFC 3339, in UTC and whole seconds."""
    moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
