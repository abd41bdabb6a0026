"""The storage alone, on a fresh file, with a clock the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.core.model import Principal
from service.core.times import WallClock
from service.storage.sqlite.store import SqliteStore, StoreOptions, open_store

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
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    options = StoreOptions(sweep_interval=3600, checkpoint_interval=3600)
    opened = await open_store(tmp_path / "palimpsest.db", options, WallClock(clock))
    yield opened
    await opened.close()


@pytest.fixture
async def who(store: SqliteStore) -> Principal:
    secret = await store.ensure_first_key()
    assert secret is not None
    return await store.keys.authenticate(secret)
