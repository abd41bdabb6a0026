"""What SQLite does to find what has to be indexed again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import CompoundSelect, Select
from sqlalchemy.dialects import sqlite

from service.storage.index import reindexing
from service.storage.sqlite.store import SqliteStore

STATEMENTS = [
    statement
    for finding in (reindexing._STALE, *reindexing._OUTDATED.values())
    for statement in (finding.memories, finding.chunks)
] + reindexing._COUNTS


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_none_of_them_looks_at_what_is_up_to_date(
    store: SqliteStore, statement: Select[Any] | CompoundSelect[Any]
) -> None:
    """It is asked for all the time, of databases of which nothing is left to do."""
    text = str(statement.compile(dialect=sqlite.dialect()))
    plan = await store.engine.database.read(
        lambda conn: [
            row.detail
            for row in conn.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {text}", tuple([1] * text.count("?"))
            )
        ]
    )
    rows = [step for step in plan if "memories" in step or "chunks" in step]
    assert rows
    assert all("_indexed (embedder" in step for step in rows)
