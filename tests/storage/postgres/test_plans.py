"""No statement reads all of a table, or all that a tenant has in it, unless it is asked for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core import model as m
from service.core.times import WallClock
from tests import statements
from tests.backends.cluster import Cluster
from tests.backends.postgres import DatabaseServer, PostgresBackend
from tests.storage.conftest import Clock
from tests.storage.exercise import exercise
from tests.storage.postgres import plans

pytestmark = pytest.mark.processes


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[PostgresBackend]:
    """On the newest release, which takes statistics that no table has."""
    cluster = Cluster()
    cluster.start()
    server = DatabaseServer(cluster.url)
    made = PostgresBackend(tmp_path, server)
    yield made
    made.close()
    server.close()
    cluster.close()


async def test_no_statement_reads_more_than_it_is_asked_for(backend: PostgresBackend) -> None:
    clock = Clock()
    store = await backend.open(WallClock(clock))
    try:
        principal = m.Principal(await store.ensure_tenant("one"), "key")
        await exercise(store, principal, clock)
        plans.make_large(backend)
        assert len(statements.seen) > 80
        faulty = await store.engine.database.read(
            lambda conn: {
                sql: found
                for sql, parameters in dict(statements.seen).items()
                if (found := plans.faults(conn, sql, parameters))
            }
        )
    finally:
        await store.close()
    assert faulty == {}, "\n\n".join(f"{sql}\n  {found}" for sql, found in faulty.items())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM documents WHERE title = 'x'",
        "SELECT id FROM documents WHERE tenant = 1 AND title = 'x'",
        "SELECT memory_id FROM memory_spans WHERE shown_until = 5",
    ],
)
async def test_a_scan_is_noticed(backend: PostgresBackend, sql: str) -> None:
    store = await backend.open()
    try:
        plans.make_large(backend)
        assert await store.engine.database.read(lambda conn: plans.faults(conn, sql, ()))
    finally:
        await store.close()
