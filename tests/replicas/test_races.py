"""The races, on two servers that share a port and a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.call_counts import calls
from tests.races.callers import client_processes
from tests.races.rounds import PROCESSING, RACES, RaceServer
from tests.replicas.servers import replicas
from tests.tally import Report, Tally

pytestmark = pytest.mark.processes

ROUNDS = 2
WRITES = ("Documents.UpsertDocument", "Memories.CreateMemories", "Memories.UpdateMemory")

QUEUED = [name for name in RACES if name not in PROCESSING]


@pytest.mark.parametrize(
    ("names", "workers"), [(QUEUED, "0"), (PROCESSING, "2")], ids=["queued", "processed"]
)
def test_every_race_has_one_outcome_whichever_server_is_asked(
    tmp_path: Path, report: Report, names: list[str], workers: str
) -> None:
    tally = Tally("races on two servers")
    report(tally)
    with (
        replicas(tmp_path / "data", "--workers", workers) as servers,
        client_processes(servers[0].address) as callers,
    ):
        race_server = RaceServer(servers[0], callers)
        race_server.run(names, ROUNDS, tally)
        race_server.check(tally)
        assert tally.findings == []
        written = [sum(calls(server)[name] for name in WRITES) for server in servers]
        assert all(written), f"one of the servers wrote nothing: {written}"
