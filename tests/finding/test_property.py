"""Whatever was done before, a search equals the brute-force reference's.

`python -m tests.finding` does more of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from service.app import ServiceOptions
from service.indexing_runtime import IndexingOptions
from service.retrieval import streaming
from service.retrieval.searcher import SearchOptions
from service.storage.engine import StoreOptions
from tests.finding.explore import explore
from tests.finding.faults import FAULTS, RARELY_NOTICED, Seed
from tests.finding.service_harness import without_room
from tests.seeded import parameters
from tests.tally import Report, Tally

pytestmark = pytest.mark.slow

SEED = 20261121


def test_searches_equal_the_reference_whatever_was_done_before(report: Report) -> None:
    tally = Tally("searches")
    report(tally)
    explore(tally, examples=10, seed=SEED)


def test_so_they_do_where_indexes_are_loaded_anew_and_in_threads(report: Report) -> None:
    searches = SearchOptions(inline_additions=0, inline_characters=0, inline_rows=0)
    options = ServiceOptions(
        store=StoreOptions(index_changes=2), indexing=IndexingOptions(searches=searches)
    )
    tally = Tally("searches of indexes loaded anew")
    report(tally)
    explore(tally, examples=3, seed=SEED, options=options)


def test_so_they_do_where_indexes_are_loaded_in_many_blocks(report: Report) -> None:
    options = ServiceOptions(store=StoreOptions(index_block_bytes=1))
    tally = Tally("searches of indexes loaded in many blocks")
    report(tally)
    explore(tally, examples=3, seed=SEED, options=options)


@pytest.mark.parametrize("size", [1, 1 << 21], ids=["many blocks", "one block"])
def test_so_they_do_where_nothing_fits_into_memory(
    report: Report, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    streamed = 0
    rank = streaming.Streaming.rank

    async def counted(self: streaming.Streaming, *arguments: Any) -> streaming.Ranked:
        nonlocal streamed
        streamed += 1
        return await rank(self, *arguments)

    monkeypatch.setattr(streaming.Streaming, "rank", counted)
    tally = Tally("searches of what does not fit into memory")
    report(tally)
    explore(tally, examples=5, seed=SEED, **without_room(size))
    assert streamed > 5


@pytest.mark.parametrize("seed", parameters(FAULTS, RARELY_NOTICED))
def test_a_seeded_fault_is_noticed(seed: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    seed(monkeypatch)
    with pytest.raises(AssertionError):
        # It ends with the first failure. Which examples come depends on the modules that
        # are loaded (hypothesis takes constants from them), so this is far more than it takes.
        explore(Tally("faults"), examples=200, seed=SEED, shrink=False)
