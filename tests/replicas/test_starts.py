"""Servers that start at the same moment on a database without anything in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.storage.schema import HEAD
from tests.backends import selection
from tests.backends.postgres import PostgresBackend
from tests.harness import start_server
from tests.replicas.servers import stop

pytestmark = pytest.mark.processes

SERVERS = 4


def test_four_that_start_at_once_make_one_schema_and_one_first_key(tmp_path: Path) -> None:
    first = PostgresBackend(tmp_path / "0", selection.postgres_server(), empty=True)
    backends = [first, *(first.replica(tmp_path / str(n)) for n in range(1, SERVERS))]
    with selection.used(*backends), ThreadPoolExecutor(SERVERS) as threads:
        starting = [threads.submit(start_server, backend.folder) for backend in backends]
        try:
            assert all(server.result() for server in starting)
        finally:
            for server in starting:
                if server.exception() is None:
                    stop(server.result())
        assert [row.version_num for row in first.rows("SELECT * FROM alembic_version")] == [HEAD]
        assert len(first.rows("SELECT 1 FROM secrets WHERE name = 'digest'")) == 1
        [key] = first.rows("SELECT key_id FROM api_keys")
        written = [backend.folder / "first-key" for backend in backends]
        [kept] = [file.read_text().strip() for file in written if file.exists()]
        assert kept.split("_")[1] == key.key_id
        assert [row.name for row in first.rows("SELECT name FROM tenants")] == ["default"]
        assert len(first.rows("SELECT id FROM embedders")) == 1
        assert first.check() == []
