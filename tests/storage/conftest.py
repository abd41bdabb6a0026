"""The storage alone, on a fresh database, with a clock the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.core.model import Principal
from service.core.times import WallClock
from service.ports.indexing import Indexer, NullIndexer
from service.storage.store import SqlStore
from tests.backends.base import Backend
from tests.backends.selection import backend_of

START = 1_800_000_000_000_000


class Clock:
    """Microseconds that move when told to, and one at each look."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> int:
        self.time += 1
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += int(seconds * 1_000_000)


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    """What the tests of this folder run on; those of one backend are in a folder of its name."""
    return backend_of(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def indexer() -> Indexer:
    return NullIndexer()


@pytest.fixture
async def store(backend: Backend, clock: Clock, indexer: Indexer) -> AsyncIterator[SqlStore]:
    opened = await backend.open(WallClock(clock), indexer=indexer)
    yield opened
    await opened.close()


@pytest.fixture
async def principal(store: SqlStore) -> Principal:
    secret = await store.ensure_first_key()
    assert secret is not None
    return await store.keys.authenticate(secret)
