"""PostgreSQL is stopped hard under load and started again; the servers run on."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest.v1 import documents_pb2 as d
from tests.backends import selection
from tests.backends.cluster import Cluster
from tests.backends.postgres import DatabaseServer, PostgresBackend
from tests.faults.load import Load, line
from tests.harness import Server, running_server
from tests.tally import Report, Tally
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.processes

ROUNDS = 3
SEED = 41
AWAY = "UNAVAILABLE STORAGE_UNAVAILABLE"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server of this test's own, whose commits survive."""
    made = Cluster(durable=True)
    made.start()
    yield made
    made.close()


async def test_no_acknowledged_write_is_lost_and_writes_go_on(
    cluster: Cluster, tmp_path: Path, report: Report
) -> None:
    tally = Tally("PostgreSQL stopped hard")
    report(tally)
    chance, load = random.Random(SEED), Load(SEED)
    postgres = DatabaseServer(cluster.url)
    backend = PostgresBackend(tmp_path / "data", postgres)
    with selection.used(backend), running_server(backend.folder) as server:
        for number in range(1, ROUNDS + 1):
            with tally.collecting(f"seed {SEED}, round {number}"):
                await _run_and_crash(server, load, cluster, chance)
                waited = await _written_again(server)
                await load.judge(server)
                await load.settle(server)
                report(Tally(f"first write {waited:.2f} s after it was up", rounds=1))
            load.suffered(tally)
        tally.findings.extend(f"check: {fault}" for fault in await asyncio.to_thread(backend.check))
    postgres.close()
    assert tally.findings == []


async def _run_and_crash(
    server: Server, load: Load, cluster: Cluster, chance: random.Random
) -> None:
    """Stop it at a random moment; every caller hears that it is away, and nothing else."""
    goal = load.acknowledged + chance.randrange(100, 600)
    reached = asyncio.Event()

    def answered(count: int) -> None:
        if count >= goal:
            reached.set()

    running = asyncio.create_task(load.run(server, answered=answered))
    await asyncio.wait_for(reached.wait(), HANG_SECONDS)
    await asyncio.to_thread(cluster.crash)
    # Nothing can be acknowledged any more, so every caller is refused.
    await running
    refusals = load.take_refusals()
    assert refusals.keys() == {AWAY}, refusals
    await asyncio.to_thread(cluster.start)


async def _written_again(server: Server) -> float:
    """Seconds until a write is taken, as it is without a restart of the server."""
    began = time.monotonic()
    async with line(server) as connection:
        while time.monotonic() < began + HANG_SECONDS:
            write = d.UpsertDocumentRequest(content="small", custom_id="small")
            answer = await connection.send(write)
            if answer.ok:
                return time.monotonic() - began
            assert f"{answer.code} {answer.reason}" == AWAY
            await asyncio.sleep(0.01)
    raise AssertionError("the server did not recover")
