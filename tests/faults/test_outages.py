"""A full disk and a locked database: refused, read on, and recovered from as it runs."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from palimpsest.v1 import documents_pb2 as d
from service.settings import database_path
from tests.faults.disks import DISKS
from tests.faults.emptying import full_disk_emptied
from tests.faults.load import line
from tests.faults.outages import full_disk, locked_database
from tests.harness import running_server
from tests.tally import Report, Tally


@pytest.mark.parametrize("name", DISKS)
async def test_a_full_disk_loses_nothing_and_is_recovered_from(
    tmp_path: Path, report: Report, name: str
) -> None:
    tally = Tally(name)
    report(tally)
    await full_disk(name, tmp_path, 1, seed=21, tally=tally)
    assert tally.findings == []
    assert tally.operations > 0


@pytest.mark.parametrize("name", [name for name in DISKS if name == "tiny disk"])
async def test_a_full_disk_is_emptied_through_the_service(
    tmp_path: Path, report: Report, name: str
) -> None:
    tally = Tally(f"{name}, emptied")
    report(tally)
    await full_disk_emptied(tmp_path, 1, seed=23, tally=tally)
    assert tally.findings == []


async def test_a_locked_database_is_refused_and_recovered_from(
    tmp_path: Path, report: Report
) -> None:
    tally = Tally("locked database")
    report(tally)
    await locked_database(tmp_path, 1, seed=22, tally=tally)
    assert tally.findings == []
    assert tally.operations > 0


async def test_a_long_read_of_another_process_holds_nobody_up(tmp_path: Path) -> None:
    """A backup keeps its snapshot for minutes, and no checkpoint can empty the log meanwhile."""
    data_dir = tmp_path / "data"
    with running_server(data_dir, "--checkpoint-interval", "0.1") as server:
        async with line(server) as connection:
            await connection.ask(d.UpsertDocumentRequest(content="one", custom_id="one"))
            with closing(sqlite3.connect(database_path(data_dir), isolation_level=None)) as other:
                other.execute("BEGIN")
                other.execute("SELECT count(*) FROM documents").fetchall()
                end = time.monotonic() + 2
                while time.monotonic() < end:
                    write = d.UpsertDocumentRequest(content=str(end), custom_id="one")
                    assert (await connection.send(write)).ok
                    read = d.GetDocumentRequest(id="one")
                    assert (await connection.send(read)).ok
