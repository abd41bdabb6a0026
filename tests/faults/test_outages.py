"""A full disk and a locked database: refused, read on, and recovered from as it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Report
from tests.faults.disks import DISKS
from tests.faults.outages import full_disk, locked_database
from tests.tally import Tally


@pytest.mark.parametrize("name", DISKS)
async def test_a_full_disk_loses_nothing_and_is_recovered_from(
    tmp_path: Path, report: Report, name: str
) -> None:
    tally = Tally(name)
    report(tally)
    await full_disk(name, tmp_path, 1, seed=21, tally=tally)
    assert tally.findings == []
    assert tally.operations > 0


async def test_a_locked_database_is_refused_and_recovered_from(
    tmp_path: Path, report: Report
) -> None:
    tally = Tally("locked database")
    report(tally)
    await locked_database(tmp_path, 1, seed=22, tally=tally)
    assert tally.findings == []
    assert tally.operations > 0
