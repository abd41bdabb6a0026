"""SIGTERM with calls in progress."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from palimpsest.v1 import documents_pb2 as d
from tests.faults.disks import Lock
from tests.faults.load import line
from tests.faults.stops import stop_rounds, stop_while_callers_come_again, stopped
from tests.harness import start_server
from tests.tally import Report, Tally

ROUNDS = 3


async def test_a_stop_under_load_finishes_or_refuses_every_call(
    tmp_path: Path, report: Report
) -> None:
    tally = Tally("stops")
    report(tally)
    await stop_rounds(tmp_path / "data", ROUNDS, seed=23, tally=tally)
    assert tally.findings == []
    assert tally.operations > 0


async def test_callers_who_come_again_at_once_hear_only_that_the_server_stops(
    tmp_path: Path,
) -> None:
    told = await stop_while_callers_come_again(tmp_path / "data", callers=32)
    assert told["SHUTTING_DOWN"] > 0
    assert told.keys() <= {"OK", "SHUTTING_DOWN", "UNAVAILABLE"}, told


@pytest.mark.parametrize(("grace", "signals"), [(1, 1), (600, 2)])
async def test_a_call_that_lasts_is_ended_after_the_grace_or_by_a_second_signal(
    tmp_path: Path, grace: int, signals: int
) -> None:
    server = start_server(tmp_path / "data", "--drain-grace", str(grace))
    # Another process holds the database for longer than the server has.
    lock = Lock(server.data_dir)
    lock.take()
    try:
        async with line(server) as connection:
            write = d.UpsertDocumentRequest(content="never written", custom_id="one")
            writing = asyncio.create_task(connection.send(write))
            # The first is answered when the write has been let in, the others when its message
            # has been taken as well: it is under way by now.
            for _ in range(3):
                await connection.send(d.GetDocumentRequest(id="one"))
            began = time.monotonic()
            assert await stopped(server, grace if signals == 1 else 0, signals) == 0
            assert signals > 1 or time.monotonic() - began >= grace, "the call had no grace"
            assert (await writing).code == "UNAVAILABLE"
    finally:
        lock.release()
        server.kill()
    server = start_server(tmp_path / "data")
    try:
        async with line(server) as connection:
            found = await connection.send(d.GetDocumentRequest(id="one"))
            assert found.outcome == "DOCUMENT_NOT_FOUND"
    finally:
        server.kill()
