"""Running the machine."""

from __future__ import annotations

import warnings
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.stateful import run_state_machine_as_test

from tests.property.machine import Machine
from tests.property.model_comparison import Tally
from tests.property.sync_harness import SyncHarness


def explore(
    harness: SyncHarness, tally: Tally, *, examples: int, steps: int, seed: int, shrink: bool = True
) -> None:
    """So many sequences of so many calls at most; counts into `tally`.

    Raises:
        FindingError: The service did something else than the model; the notes of the
            error say how to come there, in few steps if `shrink`.
    """

    def machine() -> Machine:
        return Machine(harness, tally)

    seeded: Any = hypothesis.seed(seed)(machine)  # says it takes a class; takes any factory
    with warnings.catch_warnings():
        # Strategies of this size have representations that hypothesis warns of.
        warnings.filterwarnings("ignore", "Generating overly large repr")
        run_state_machine_as_test(
            seeded,
            settings=hypothesis.settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
                verbosity=Verbosity.normal,
            ),
        )
