"""The storage alone, on a fresh database of each backend, with a clock the test moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from service.core.model import Principal
from service.core.times import WallClock
from service.ports.indexing import Indexer, NullIndexer
from service.storage.sqlite import admin
from service.storage.sqlite.store import SqliteStore, StoreOptions, open_store
from service.storage.store import SqlStore

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


class Backend(ABC):
    """One database, which servers open."""

    options = StoreOptions(sweep_interval=3600, checkpoint_interval=3600)

    @abstractmethod
    async def open(self, clock: Callable[[], int], indexer: Indexer | None = None) -> SqlStore:
        """Another server on the database; the caller closes it."""

    @abstractmethod
    def check(self) -> list[str]:
        """What is wrong with the database."""


class SqliteBackend(Backend):
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "palimpsest.db"

    async def open(self, clock: Callable[[], int], indexer: Indexer | None = None) -> SqliteStore:
        return await open_store(self.path, self.options, WallClock(clock), indexer=indexer)

    def check(self) -> list[str]:
        return admin.check(self.path, lambda _: None)


BACKENDS: dict[str, Callable[[Path], Backend]] = {"sqlite": SqliteBackend}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """What the tests of this folder run on; those of its own are in a folder of its name."""
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def indexer() -> Indexer:
    return NullIndexer()


@pytest.fixture
async def store(backend: Backend, clock: Clock, indexer: Indexer) -> AsyncIterator[SqlStore]:
    opened = await backend.open(clock, indexer)
    yield opened
    await opened.close()


@pytest.fixture
async def principal(store: SqlStore) -> Principal:
    secret = await store.ensure_first_key()
    assert secret is not None
    return await store.keys.authenticate(secret)
