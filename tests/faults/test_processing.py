"""kill -9 over a full queue: every document is processed, once, and no trace is left."""

from __future__ import annotations

from pathlib import Path

from tests.faults.processing import processing_rounds
from tests.tally import Report, Tally

ROUNDS = 2


async def test_every_queued_document_is_done_once_whenever_the_server_dies(
    tmp_path: Path, report: Report
) -> None:
    tally = Tally("processing")
    report(tally)
    await processing_rounds(tmp_path / "data", ROUNDS, seed=4, tally=tally)
    assert tally.findings == []
    assert tally.rounds == ROUNDS
