"""Tests of SQLite alone: its file, its connections, its plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.storage.sqlite.store import SqliteStore
from service.storage.store import SqlStore
from tests.storage.conftest import Backend, SqliteBackend


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    return SqliteBackend(tmp_path)


@pytest.fixture
def store(store: SqlStore) -> SqliteStore:
    assert isinstance(store, SqliteStore)
    return store
