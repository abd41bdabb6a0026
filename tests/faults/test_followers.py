"""kill -9 under load: a follower of the changes is sent each one once, and in order."""

from __future__ import annotations

from pathlib import Path

from tests.faults.followers import follower_rounds
from tests.tally import Report, Tally

ROUNDS = 2


async def test_a_follower_is_sent_every_change_once(tmp_path: Path, report: Report) -> None:
    tally = Tally("followers")
    report(tally)
    await follower_rounds(tmp_path / "data", ROUNDS, seed=21, tally=tally)
    assert tally.findings == []
    assert tally.rounds == ROUNDS
    assert tally.operations > 0
