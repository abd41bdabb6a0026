"""What a search may find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from service.search.columns import Mask
from service.search.segment import Segment
from service.search.speakers import Name


class Scope(NamedTuple):
    """The part of a segment that a search may find."""

    segment: Segment
    eligible: Mask
    """(rows,) from `Segment.eligible`; the same for all items of one group."""
    hidden: Mask | None = None
    """(rows,) of the eligible, those that are context of others and no hits; None: none."""


def named_speakers(scopes: Sequence[Scope], words: Iterable[int]) -> set[Name]:
    """The speakers of eligible items whose name has one of the (hashed) words."""
    hashes = tuple(words)
    return {name for scope in scopes for name in scope.segment.named(hashes, scope.eligible)}
