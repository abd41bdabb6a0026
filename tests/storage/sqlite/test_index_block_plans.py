"""What SQLite does to read a block of an index."""

from __future__ import annotations

from sqlalchemy.dialects import sqlite

from service.storage.index import blocks as index_blocks
from service.storage.sqlite.store import SqliteStore


async def test_no_statement_of_them_sorts(store: SqliteStore) -> None:
    """Their order is an index's: however large the container, a block costs what it holds."""
    made = [
        index_blocks._memories(vectors=True),
        index_blocks._memories(vectors=False),
        index_blocks._chunks(vectors=True, elsewhere=False),
        index_blocks._chunks(vectors=False, elsewhere=False),
    ]
    texts = [str(statement.compile(dialect=sqlite.dialect())) for statement in made]
    plans = await store.engine.database.read(
        lambda conn: [
            row.detail
            for text in texts
            for row in conn.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {text}", tuple([1] * text.count("?"))
            )
        ]
    )
    assert plans
    assert not [step for step in plans if "TEMP B-TREE" in step or step.startswith("SCAN")]
