"""Tests of SQLite alone: its file, its connections, its plans."""

from __future__ import annotations

import pytest

from service.storage.sqlite.store import SqliteStore
from service.storage.store import SqlStore


@pytest.fixture
def store(store: SqlStore) -> SqliteStore:
    assert isinstance(store, SqliteStore)
    return store
