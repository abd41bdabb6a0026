"""SIGTERM with calls in progress."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from palimpsest.v1 import documents_pb2 as d
from tests.conftest import Report
from tests.faults.disks import Lock
from tests.faults.load import line
from tests.faults.stops import lasting_call, stop_rounds, stopped
from tests.harness import start_server
from tests.tally import Tally

ROUNDS = 2


async def test_a_stop_under_load_finishes_or_refuses_every_call(
    tmp_path: Path, report: Report
) -> None:
    tally = Tally("stops")
    report(tally)
    await stop_rounds(tmp_path / "data", ROUNDS, seed=23, tally=tally)
    assert tally.findings == []
    assert tally.operations > 0


async def test_a_call_that_outlasts_the_grace_is_ended(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", "--drain-grace", "1")
    try:
        async with line(server) as connection, lasting_call(connection) as ending:
            began = time.monotonic()
            assert await stopped(server, grace=1) == 0
            assert time.monotonic() - began >= 1, "the call had no grace"
            assert await asyncio.wait_for(ending, 5) == "UNAVAILABLE"
    finally:
        server.kill()


async def test_a_second_signal_ends_the_grace(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", "--drain-grace", "600")
    try:
        async with line(server) as connection, lasting_call(connection) as ending:
            assert await stopped(server, grace=0, signals=2) == 0
            assert await asyncio.wait_for(ending, 5) == "UNAVAILABLE"
    finally:
        server.kill()


async def test_a_second_signal_does_not_wait_for_a_locked_database(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", "--drain-grace", "600")
    lock = Lock(server.data_dir)
    lock.take()
    try:
        async with line(server) as connection:
            write = d.UpsertDocumentRequest(content="never written", custom_id="one")
            writing = asyncio.create_task(connection.send(write))
            # Answered after the write has been taken: it is under way by now.
            await connection.send(d.GetDocumentRequest(id="one"))
            assert await stopped(server, grace=0, signals=2) == 0
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
