"""A cancelled call has its whole effect or none, and holds nothing any more."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.cancellation import running
from tests.cancellation.attempts import BUILDS, METHODS

CALLS = 1_000


def test_every_method_is_among_the_calls() -> None:
    assert {name.partition(" ")[0] for name in BUILDS} == set(METHODS)


async def test_a_cancelled_call_has_its_whole_effect_or_none() -> None:
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as directory:
        findings = await running.trial(Path(directory), CALLS, seed=20_261_121)
    print(*findings.lines(), sep="\n")  # noqa: T201
    assert findings.faults == []
    assert findings.calls.total() >= CALLS
    assert min(findings.effects["whole"], findings.effects["none"]) > CALLS / 50
