"""kill -9 under load: what was acknowledged is there, nothing is half there."""

from __future__ import annotations

from pathlib import Path

from tests.faults.kills import kill_rounds
from tests.tally import Report, Tally

ROUNDS = 3


async def test_every_acknowledged_mutation_survives_kill_9(tmp_path: Path, report: Report) -> None:
    tally = Tally("kills")
    report(tally)
    await kill_rounds(tmp_path / "data", ROUNDS, seed=20, tally=tally)
    assert tally.findings == []
    assert tally.rounds == ROUNDS
    assert tally.operations > 0
