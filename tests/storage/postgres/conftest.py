"""What tests of PostgreSQL alone share."""

from __future__ import annotations

import pytest

from tests.backends.base import Backend
from tests.backends.postgres import PostgresBackend


@pytest.fixture
def server(backend: Backend) -> PostgresBackend:
    assert isinstance(backend, PostgresBackend)
    return backend
