"""Playing random steps, and counting what was done."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given

from service.embedding import registry
from tests.finding.random_searches import RandomSearches
from tests.finding.steps import Step, steps
from tests.tally import Tally


def play(chosen: list[Step], tally: Tally, **options: Any) -> None:
    """Raises AssertionError where a search is not what the model says."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as directory:
        random_searches = RandomSearches(Path(directory), **options)
        try:
            asyncio.run(random_searches.play(chosen))
        finally:
            tally.rounds += 1
            tally.operations += random_searches.steps + random_searches.searches


def explore(tally: Tally, *, examples: int, seed: int, shrink: bool = True, **options: Any) -> None:
    """So many examples, on services with these options; the error of one that fails says in its
    notes how to come there."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(steps)
    def one(chosen: list[Step]) -> None:
        play(chosen, tally, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._MODULES, "words", "tests.finding.words")
        one()
