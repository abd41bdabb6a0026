"""The disk is full, or the database locked, under mixed load; then it is not any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from palimpsest.v1 import documents_pb2 as d
from tests.faults.disks import DISKS, Lock, impatient_server
from tests.faults.load import Line, Load, line
from tests.harness import Server
from tests.tally import Tally
from tests.waiting import HANG_SECONDS

CALM_SECONDS = 0.5
OUTAGE_SECONDS = 3.0
PADDING = 2000
FLOOD = "x" * 500_000

FULL = frozenset({"RESOURCE_EXHAUSTED STORAGE_FULL", "UNAVAILABLE STORAGE_UNAVAILABLE"})
AWAY = frozenset({"UNAVAILABLE STORAGE_UNAVAILABLE"})

Change: TypeAlias = Callable[[], None]


async def full_disk(name: str, folder: Path, rounds: int, seed: int, tally: Tally) -> None:
    """Disks of one kind that fill up under load and are freed, on one server."""
    load = Load(seed, PADDING)
    with DISKS[name](folder) as disk:
        for number in range(1, rounds + 1):
            with tally.collecting(f"{name}, seed {seed}, round {number}"):
                await _outage(disk.server, load, disk.fill, disk.free, FULL, flooded=True)
            load.suffered(tally)
            if tally.findings:
                break
        tally.findings.extend(f"{name}, seed {seed}, check: {fault}" for fault in disk.check())


async def locked_database(folder: Path, rounds: int, seed: int, tally: Tally) -> None:
    """Another process holds the database for longer than the server waits."""
    load = Load(seed)
    data_dir = folder / "locked"
    with impatient_server(data_dir) as server:
        for number in range(1, rounds + 1):
            lock = Lock(data_dir)
            with tally.collecting(f"locked database, seed {seed}, round {number}"):
                await _outage(server, load, lock.take, lock.release, AWAY)
            load.suffered(tally)
            if tally.findings:
                break
        found = server.backend.check()
        tally.findings.extend(f"locked database, seed {seed}, check: {f}" for f in found)


async def _outage(
    server: Server,
    load: Load,
    begin: Change,
    end: Change,
    allowed: frozenset[str],
    *,
    flooded: bool = False,
) -> None:
    """One outage under load; raises for a promise that is broken."""
    await _calm(server, load)
    async with line(server) as connection:
        stop = asyncio.Event()
        running = asyncio.create_task(load.run(server, stop=stop))
        begin()
        try:
            if flooded:
                assert await _flood(connection) in allowed
            # Callers whose small writes still fit on a full disk go on for a while.
            await asyncio.wait([running], timeout=OUTAGE_SECONDS if flooded else HANG_SECONDS)
            stop.set()
            await running
            refusals = load.take_refusals()
            assert refusals.keys() <= allowed, refusals
            assert flooded or refusals.total() == len(load.models), refusals
            await load.judge(server, refused_did_nothing=True)
        finally:
            end()
            stop.set()
            await asyncio.wait([running])
        await _recovered(connection, allowed)
    await load.settle(server)
    await _calm(server, load)


async def _calm(server: Server, load: Load) -> None:
    """Load while nothing is wrong: nothing is refused."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(CALM_SECONDS, stop.set)
    await load.run(server, stop=stop)
    refusals = load.take_refusals()
    assert not refusals, refusals
    await load.judge(server)


async def _flood(connection: Line) -> str:
    """Writes until there is no room; what the refusal said."""
    for number in range(200):
        answer = await connection.send(
            d.UpsertDocumentRequest(content=f"{number} {FLOOD}", container_tags=["flood"])
        )
        if not answer.ok:
            return f"{answer.code} {answer.reason}"
    raise AssertionError("the disk does not fill up")


async def _recovered(connection: Line, allowed: frozenset[str]) -> None:
    """Writes are taken again, without a restart; what flooded the disk is deleted."""
    deadline = time.monotonic() + HANG_SECONDS
    while True:
        answer = await connection.send(d.UpsertDocumentRequest(content="small", custom_id="small"))
        if answer.ok:
            break
        assert f"{answer.code} {answer.reason}" in allowed
        assert time.monotonic() < deadline, "the server did not recover"
        await asyncio.sleep(0.1)
    await connection.ask(d.BulkDeleteDocumentsRequest(container_tags=["flood"]))
