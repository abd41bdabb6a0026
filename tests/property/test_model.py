"""The service beside the model of the contract, and faults that this must notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.storage.documents import lists as document_lists
from tests.property.compare import FindingError
from tests.property.explore import explore
from tests.property.faults import FAULTS, RARELY_NOTICED, Seed
from tests.property.model_comparison import Tally
from tests.property.summary import LINES
from tests.property.sync_harness import running_sync_harness
from tests.seeded import parameters

SEED = 20_260_508
METHODS = 23


@pytest.fixture
def fresh_statements() -> Iterator[None]:
    """No statement that was built with a fault outlives it, and none hides one."""
    document_lists._cached_statement.cache_clear()
    yield
    document_lists._cached_statement.cache_clear()


def test_the_service_answers_as_the_contract_says() -> None:
    tally = Tally()

    with running_sync_harness() as harness:
        # Which examples a seed gives depends on the modules that are loaded (hypothesis takes
        # constants from them): where those of one call too little, those of others are added.
        for seed in range(SEED, SEED + 20):
            explore(harness, tally, examples=25, steps=25, seed=seed, shrink=False)
            if len(tally.calls) == METHODS:
                break

    LINES.append(f"model: {tally}, no findings")
    assert len(tally.calls) == METHODS, f"some were never called: {sorted(tally.calls)}"


@pytest.mark.parametrize("seed", parameters(FAULTS, RARELY_NOTICED))
def test_a_seeded_fault_is_noticed(
    seed: Seed, monkeypatch: pytest.MonkeyPatch, fresh_statements: None
) -> None:
    tally = Tally()

    with running_sync_harness() as harness:
        seed(monkeypatch)
        with pytest.raises(FindingError):
            # It ends with the first finding: this is far more than it takes.
            explore(harness, tally, examples=300, steps=25, seed=SEED, shrink=False)

    LINES.append(f"model: {seed.__name__.replace('_', ' ')}: noticed after {tally}")
