"""Races between client processes on a real server, each for a few rounds.

`python -m tests.races` runs many.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.races.rounds import PROCESSING, RACES, RaceServer, race_server
from tests.tally import Report, Tally

ROUNDS = 2


@pytest.fixture(scope="module")
def shared_course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RaceServer]:
    with race_server(tmp_path_factory.mktemp("races") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def working_course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RaceServer]:
    """With workers."""
    with race_server(tmp_path_factory.mktemp("races") / "data", workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def tally(shared_course: RaceServer, report: Report) -> Iterator[Tally]:
    """Of all races; the database is checked after the last."""
    counted = Tally("races")
    yield counted
    report(counted)


@pytest.mark.parametrize("name", [name for name in RACES if name not in PROCESSING])
def test_a_race_has_one_outcome(shared_course: RaceServer, tally: Tally, name: str) -> None:
    before = len(tally.findings)
    shared_course.run([name], ROUNDS, tally)
    assert tally.findings[before:] == []


@pytest.mark.parametrize("name", PROCESSING)
def test_so_it_has_where_documents_are_processed(
    working_course: RaceServer, tally: Tally, name: str
) -> None:
    before = len(tally.findings)
    working_course.run([name], ROUNDS, tally)
    assert tally.findings[before:] == []


def test_the_database_of_all_races_is_sound(
    shared_course: RaceServer, working_course: RaceServer, tally: Tally
) -> None:
    before = len(tally.findings)
    shared_course.check(tally)
    working_course.check(tally)
    assert tally.findings[before:] == []
