"""Collects every SQL statement this process issues, and judges query plans."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from service.storage.tables import metadata

seen: dict[str, Any] = {}
"""Statement text to one set of its parameters."""

SMALL = {"tenants", "secrets", "api_keys", "erased_containers", "webhooks"}
"""Tables a person fills by hand, or that are empty again after a moment."""

LARGE = sorted(set(metadata.tables) - SMALL)

_SCAN = re.compile(r"^SCAN (\w+)")
_WEAK = re.compile(r"^SEARCH (\w+) USING .*\(tenant=\?\)$")
_SORT = "USE TEMP B-TREE FOR"

# Counting everything that a preview would delete has to visit all of it.
_PREVIEW = re.compile(r"SELECT DISTINCT document_containers\.document_id")


# A total is counted over all that it is the total of, in an index.
_COUNT = re.compile(r"SELECT count\(\*\)")

# What came from one document is found by that, and sorted.
_SOURCE = "memories.source_document_id = ?"


def install() -> None:
    """Start collecting; safe to call again.

    A statement that begins with a comment is left out: `check` visits every row,
    and is meant to.
    """
    if not event.contains(Engine, "before_cursor_execute", _collect):
        event.listen(Engine, "before_cursor_execute", _collect)


def _collect(
    conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
        seen.setdefault(statement, parameters[0] if many else parameters)


def faults(conn: Any, statement: str, parameters: Any) -> list[str]:
    """What is wrong with a statement's plan: scans, or sorts of unbounded input."""
    plan = [
        row.detail for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]
    found = []
    large = any(re.search(rf"\b{table}\b", step) for step in plan for table in LARGE)
    for step in plan:
        scan, weak = _SCAN.match(step), _WEAK.match(step)
        if scan and scan[1] in LARGE:
            found.append(step)
        bounded = "LIMIT" in statement or _COUNT.match(statement)
        if weak and weak[1] in LARGE and not bounded:
            found.append(step)
        # A UNION ALL merges branches that each end at a LIMIT.
        bounded = "UNION ALL" in statement or _SOURCE in statement or _PREVIEW.search(statement)
        if step.startswith(_SORT) and large and not bounded:
            found.append(step)
    return found
