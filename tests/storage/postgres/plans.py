"""What PostgreSQL does to execute a statement, judged as in a database that has grown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from service.storage.tables import metadata
from tests.backends.base import Backend
from tests.statements import LARGE

ROWS: Final = 1_000_000
"""Of each table, all of one tenant."""

FEW: Final = {"tenant": 1, "container": 50, "home": 50, "lane": 50, "end_kind": 3, "embedder": 2}
"""How many values columns have that many rows share; each other one has half as many as rows."""

SHARE: Final = -0.5

_RELATION: Final = """
    SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', CAST(:name AS text),
      'relpages', 1, 'reltuples', CAST(:rows AS real))"""
_COLUMN: Final = """
    SELECT pg_restore_attribute_stats('schemaname', 'public', 'relname', CAST(:name AS text),
      'attname', CAST(:column AS text), 'inherited', false, 'null_frac', CAST(0 AS real),
      'avg_width', 8, 'n_distinct', CAST(:values AS real))"""

_FORGET: Final = """
    SELECT pg_clear_attribute_stats('public', CAST(:name AS text), attname::text, false)
    FROM pg_attribute
    WHERE attrelid = CAST(:name AS text)::regclass AND attnum > 0 AND NOT attisdropped"""

_SCANS: Final = ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
_COMPARED: Final = re.compile(r"(\w+)\)*(?:::\w+)? (?:=|<|>|<=|>=|IS) ")
# A total is counted over all that it is the total of; a preview visits all that it counts.
_OF_ALL: Final = re.compile(r"SELECT count\(\*\)|SELECT DISTINCT document_containers\.document_id")


_CHUNK: Final = """
    INSERT INTO chunks (tenant, document_id, position, chunk_id, text, starts, ends, heading,
      speaker, digest, entry, embedder)
    VALUES (0, 'none', 0, 'none', '', 0, 0, '', '', '', '', 1)"""


def make_large(backend: Backend) -> None:
    """Have the planner believe in so many rows: as many on each page that a table has."""
    # No document was processed, and a table without a page is planned as an empty one.
    backend.execute(_CHUNK)
    for table in metadata.sorted_tables:
        if table.name not in LARGE:
            continue
        # What was analysed meanwhile is of a few rows.
        backend.execute(_FORGET, name=table.name)
        backend.execute(_RELATION, name=table.name, rows=ROWS)
        indexed = {column.name for column in table.primary_key.columns}
        indexed |= {column.name for index in table.indexes for column in index.columns}
        for column in sorted(indexed):
            values = FEW.get(column, SHARE)
            backend.execute(_COLUMN, name=table.name, column=column, values=values)


def faults(conn: Connection, statement: str, parameters: Any) -> list[str]:
    """Where a statement reads whole tables, or all that a tenant has in one."""
    found = conn.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    [plan] = json.loads(found) if isinstance(found, str) else found
    of_all = _OF_ALL.search(statement) is not None
    return list(_judge(plan["Plan"], bounded=of_all))


def _judge(node: Mapping[str, Any], *, bounded: bool) -> Iterator[str]:
    """`bounded`: no more is read than is asked for."""
    kind, table = node["Node Type"], node.get("Relation Name", "")
    bounded = bounded or kind == "Limit"
    if kind == "Seq Scan" and table in LARGE:
        yield f"all of {table}"
    if kind in _SCANS and not bounded:
        index = node["Index Name"]
        condition = node.get("Index Cond", "")
        of_large = any(re.search(rf"_{name}(_|$)", index) for name in LARGE)
        if of_large and set(_COMPARED.findall(condition)) <= {"tenant"}:
            yield f"{index} where {condition or 'anything'}"
    for inner in node.get("Plans", ()):
        yield from _judge(inner, bounded=bounded)
