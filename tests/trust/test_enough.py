"""There is enough that is measured, and it is the same in each run."""

from __future__ import annotations

import pytest

from tests.trust.cases import CASES
from tests.trust.kinds import Ask, Kind, Rate, Shelf, measured
from tests.trust.languages import LANGUAGE, languages
from tests.trust.table import KINDS

LEAST = 200
MADE = [kind for kind in KINDS if kind.goals is not LANGUAGE]


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.name)
def test_each_kind_asks_for_what_is_there_and_for_what_is_not(kind: Kind) -> None:
    asks = [ask for shelf in kind.shelves() for ask in shelf.asks]
    if Rate.FOUND in kind.goals:
        assert sum(ask.answer is not None for ask in asks) >= LEAST
    if Rate.WRONG in kind.goals:
        assert sum(ask.answer is None for ask in asks) >= LEAST / 2
    assert asks == [ask for shelf in kind.shelves() for ask in shelf.asks]


def test_names_of_kinds_are_distinct() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert len({case.name for case in CASES}) == len(CASES)


def test_languages_are_many_and_of_many_scripts() -> None:
    assert len(languages()) >= 25
    assert len({language.script for language in languages()}) >= 12
    for language in languages():
        assert len(set(language.memories)) == len(set(language.queries)) >= 14, language.name
        assert len(language.words) >= 8, language.name


def test_rates_are_shares_of_what_could_have_happened() -> None:
    shelf = Shelf(
        ["the ferry leaves at noon", "bread is in the galley"],
        [Ask("ferry at noon", 0), Ask("bread in the galley", 0), Ask("quantum physics", None)],
    )
    goals = {Rate.FIRST: 0.5, Rate.FOUND: 0.9, Rate.WRONG: 0.0, Rate.FORGOTTEN: 0.0}
    total = measured([shelf], goals)
    assert total.share(Rate.FIRST) == total.share(Rate.FOUND) == 0.5
    assert total.share(Rate.WRONG) == 0
    assert total.share(Rate.FORGOTTEN) == pytest.approx(1 / 3)
    found, forgotten = total.misses(goals)
    assert found.startswith("found 0.500, goal 0.9: ")
    assert "'bread in the galley'" in forgotten
