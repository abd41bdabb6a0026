"""Faults to seed into the service: each makes searches answer wrongly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from service.retrieval import searcher, segments
from service.retrieval.cached_segment import apply_delta
from service.retrieval.eligibility import eligible_memories

Seed = Callable[[pytest.MonkeyPatch], None]


def old_texts_stay(patch: pytest.MonkeyPatch) -> None:
    """What was rewritten or deleted stays in memory."""

    def adding(cached: Any, delta: Any) -> None:
        apply_delta(cached, delta if delta.entities is None else replace(delta, entities=()))

    patch.setattr(segments, "apply_delta", adding)


def filters_see_what_was(patch: pytest.MonkeyPatch) -> None:
    """A filter that was asked before is not asked again of what has changed since."""

    async def leave(*_: object) -> None:
        """In place of asking."""

    patch.setattr(segments.Segments, "_patch_masks", leave)


def the_past_is_now(patch: pytest.MonkeyPatch) -> None:
    """A search as of a time in the past finds what is there now."""

    async def current(tenant: int, cached: Any, search: Any, *more: Any) -> Any:
        return await eligible_memories(tenant, cached, replace(search, as_of=None), *more)

    patch.setattr(searcher, "eligible_memories", current)


def thresholds_are_low(patch: pytest.MonkeyPatch) -> None:
    """What scores less than the threshold is found."""
    scoring = searcher._scoring

    def generous(found: Any, least: float) -> Any:
        return scoring(found, least * 0.4)

    patch.setattr(searcher, "_scoring", generous)


def unverified_segments_are_believed(patch: pytest.MonkeyPatch) -> None:
    """An index that was true the last time is not asked whether it still is."""

    patch.setattr(searcher._Revisions, "confirmed", lambda *_: True)


FAULTS: Mapping[str, Seed] = {
    seed.__name__.replace("_", " "): seed
    for seed in (
        old_texts_stay,
        filters_see_what_was,
        the_past_is_now,
        thresholds_are_low,
        unverified_segments_are_believed,
    )
}

RARELY_NOTICED = frozenset(
    {
        "filters see what was",
        "the past is now",
        "thresholds are low",
        "unverified segments are believed",
    }
)
"""Those that many examples may have to be tried for."""
