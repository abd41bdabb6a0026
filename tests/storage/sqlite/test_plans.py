"""No statement may scan or sort a table of unbounded size.

Every operation is exercised here, and this module runs last (see conftest.py),
so that what the other suites issued in this process is judged too.
"""

from __future__ import annotations

from service.core import model as m
from service.core.times import FOREVER
from service.storage.store import SqlStore
from tests import statements
from tests.backends.base import Backend
from tests.storage.conftest import Clock
from tests.storage.exercise import exercise


async def test_no_statement_scans_or_sorts_without_bound(
    backend: Backend, store: SqlStore, principal: m.Principal, clock: Clock
) -> None:
    await exercise(store, principal, clock)
    assert backend.check() == []
    assert len(statements.seen) > 80
    faulty = await store.engine.database.read(
        lambda conn: {
            sql: found
            for sql, parameters in dict(statements.seen).items()
            if (found := statements.faults(conn, sql, parameters))
        }
    )
    assert faulty == {}, "\n\n".join(f"{sql}\n  {found}" for sql, found in faulty.items())


async def test_a_scan_and_a_sort_are_noticed(store: SqlStore) -> None:
    def judge(sql: str) -> list[str]:
        return judged[sql]

    bad = [
        "SELECT id FROM documents WHERE title = 'x'",
        "SELECT id FROM documents WHERE tenant = 1 AND title = 'x'",
        "SELECT id FROM documents WHERE tenant = 1 ORDER BY title LIMIT 5",
        f"SELECT memory_id FROM memory_spans WHERE shown_until = {FOREVER}",
    ]
    judged = await store.engine.database.read(
        lambda conn: {sql: statements.faults(conn, sql, ()) for sql in bad}
    )
    assert all(judge(sql) for sql in bad), judged
