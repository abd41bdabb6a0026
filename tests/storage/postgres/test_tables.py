"""The tables as a server has them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import create_mock_engine

from service.storage import tables
from service.storage.postgres.tables import adapted


def _said() -> list[str]:
    said: list[str] = []

    def note(statement: Any, *_: object, **__: object) -> None:
        said.append(str(statement.compile(dialect=other.dialect)))

    other: Any = create_mock_engine("postgresql://", note)
    adapted(tables.metadata).create_all(other)
    return said


def test_indexes_are_partial_where_those_of_sqlite_are() -> None:
    partial = [one for one in _said() if "INDEX" in one and " WHERE " in one]
    assert partial
    assert len(partial) == sum(
        index.dialect_options["sqlite"]["where"] is not None
        for table in tables.metadata.tables.values()
        for index in table.indexes
    )


def test_every_text_is_compared_by_its_bytes() -> None:
    texts = [
        line for one in _said() for line in one.splitlines() if "VARCHAR" in line or "TEXT" in line
    ]
    assert texts
    assert [line for line in texts if 'COLLATE "C"' not in line] == []
