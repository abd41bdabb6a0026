"""Every invariant of the database, as a query that finds what breaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from sqlalchemy import Connection, text

from service.core.times import FOREVER
from service.storage.steps import Steps

CHECK_COMMENT = "/* check */"
"""Begins every statement here: these visit every row, and are meant to."""

SHOWN = 20
"""Findings of one kind that are named; the rest is counted."""

INVARIANTS: dict[str, str] = {
    "document without content": """
        SELECT tenant, id FROM documents d WHERE NOT EXISTS (
          SELECT 1 FROM document_contents c WHERE c.tenant = d.tenant AND c.document_id = d.id)""",
    "content without document": """
        SELECT tenant, document_id FROM document_contents c WHERE NOT EXISTS (
          SELECT 1 FROM documents d WHERE d.tenant = c.tenant AND d.id = c.document_id)""",
    "membership without document": """
        SELECT tenant, container, document_id FROM document_containers j WHERE NOT EXISTS (
          SELECT 1 FROM documents d WHERE d.tenant = j.tenant AND d.id = j.document_id)""",
    "document in no container": """
        SELECT tenant, id FROM documents d WHERE NOT EXISTS (
          SELECT 1 FROM document_containers j
          WHERE j.tenant = d.tenant AND j.document_id = d.id)""",
    "membership at another revision than its document": """
        SELECT j.tenant, j.container, j.document_id FROM document_containers j
        JOIN documents d ON d.tenant = j.tenant AND d.id = j.document_id
        WHERE j.revision <> d.revision""",
    # Tags have no letter that JSON would write in another way.
    "document whose home is not the first of its containers": """
        SELECT tenant, id FROM documents WHERE containers LIKE '["%"]'
        AND substr(containers, 1, length(home) + 3) <> '["' || home || '"'""",
    "custom id missing in a container of its document": """
        SELECT j.tenant, j.document_id, j.container FROM document_containers j
        JOIN documents d ON d.tenant = j.tenant AND d.id = j.document_id
        WHERE d.custom_id IS NOT NULL AND j.container <> d.home AND NOT EXISTS (
          SELECT 1 FROM shared_custom_ids s WHERE s.tenant = j.tenant
          AND s.document_id = j.document_id AND s.container = j.container
          AND s.custom_id = d.custom_id)""",
    "custom id in a container that its document is not in": """
        SELECT s.tenant, s.document_id, s.container FROM shared_custom_ids s WHERE NOT EXISTS (
          SELECT 1 FROM documents d JOIN document_containers j
          ON j.tenant = d.tenant AND j.document_id = d.id
          WHERE d.tenant = s.tenant AND d.id = s.document_id AND d.custom_id = s.custom_id
          AND j.container = s.container AND d.home <> s.container)""",
    "membership in an unknown container": """
        SELECT tenant, container, document_id FROM document_containers j WHERE NOT EXISTS (
          SELECT 1 FROM containers c
          WHERE c.tenant = j.tenant AND c.container = j.container)""",
    "memory in an unknown container": """
        SELECT tenant, id FROM memories m WHERE NOT EXISTS (
          SELECT 1 FROM containers c
          WHERE c.tenant = m.tenant AND c.container = m.container)""",
    "job without document": """
        SELECT tenant, document_id FROM jobs j WHERE NOT EXISTS (
          SELECT 1 FROM documents d WHERE d.tenant = j.tenant AND d.id = j.document_id)""",
    "job of another revision than its document": """
        SELECT j.tenant, j.document_id FROM jobs j
        JOIN documents d ON d.tenant = j.tenant AND d.id = j.document_id
        WHERE j.revision <> d.revision""",
    "unfinished document without a job": """
        SELECT tenant, id FROM documents d WHERE d.status BETWEEN 1 AND 5 AND NOT EXISTS (
          SELECT 1 FROM jobs j WHERE j.tenant = d.tenant AND j.document_id = d.id)""",
    "document at work that no worker holds": """
        SELECT d.tenant, d.id FROM documents d JOIN jobs j
        ON j.tenant = d.tenant AND j.document_id = d.id
        WHERE d.status BETWEEN 2 AND 5 AND j.holder IS NULL""",
    "finished document with a job": """
        SELECT d.tenant, d.id FROM documents d JOIN jobs j
        ON j.tenant = d.tenant AND j.document_id = d.id WHERE d.status > 5""",
    "chunk without document": """
        SELECT tenant, document_id, position FROM chunks k WHERE NOT EXISTS (
          SELECT 1 FROM documents d WHERE d.tenant = k.tenant AND d.id = k.document_id)""",
    "gap in the positions of a document's chunks": """
        SELECT tenant, document_id FROM chunks
        GROUP BY tenant, document_id HAVING count(*) <> max(position) + 1""",
    "chunk id that is used twice": """
        SELECT tenant, chunk_id FROM chunks GROUP BY tenant, chunk_id HAVING count(*) > 1""",
    "vector of an unknown embedder, or of another length than its vectors": """
        SELECT v.tenant, v.id FROM (
          SELECT tenant, id, embedder, vector FROM memories UNION ALL
          SELECT tenant, chunk_id, embedder, vector FROM chunks) v
        LEFT JOIN embedders e ON e.id = v.embedder
        WHERE v.vector IS NOT NULL AND (e.id IS NULL OR length(v.vector) <> 2 * e.dimension)
        OR v.vector IS NULL AND v.embedder <> 0""",
    "first version that is not its own root": """
        SELECT tenant, id FROM memories
        WHERE (version = 1) <> (root_id = id) OR (version = 1) <> (parent_id IS NULL)""",
    "version whose parent is not the version before": """
        SELECT m.tenant, m.id FROM memories m WHERE m.version > 1 AND NOT EXISTS (
          SELECT 1 FROM memories p WHERE p.tenant = m.tenant AND p.id = m.parent_id
          AND p.root_id = m.root_id AND p.version = m.version - 1
          AND p.container = m.container)""",
    "superseded version without a successor, or the reverse": """
        SELECT s.tenant, s.memory_id FROM memory_spans s
        JOIN memories m ON m.tenant = s.tenant AND m.id = s.memory_id
        WHERE s.state_until = :forever AND (s.end_kind = 1) <> EXISTS (
          SELECT 1 FROM memories n WHERE n.tenant = m.tenant AND n.root_id = m.root_id
          AND n.version = m.version + 1)""",
    "version without exactly one current span": """
        SELECT m.tenant, m.id FROM memories m WHERE 1 <> (
          SELECT count(*) FROM memory_spans s WHERE s.tenant = m.tenant
          AND s.memory_id = m.id AND s.state_until = :forever)""",
    "span without its version": """
        SELECT s.tenant, s.memory_id FROM memory_spans s WHERE NOT EXISTS (
          SELECT 1 FROM memories m WHERE m.tenant = s.tenant AND m.id = s.memory_id
          AND m.container = s.container AND m.root_id = s.root_id)""",
    "span that does not begin where the one before it ends": """
        SELECT s.tenant, s.memory_id FROM memory_spans s WHERE s.state_until <> :forever
        AND NOT EXISTS (
          SELECT 1 FROM memory_spans n WHERE n.tenant = s.tenant
          AND n.memory_id = s.memory_id AND n.shown_from = s.state_until)""",
    "span whose times are out of order": """
        SELECT tenant, memory_id FROM memory_spans
        WHERE shown_from > shown_until AND shown_until <> coalesce(forget_after, -1)
        OR shown_until > state_until
        OR (end_kind = 0 AND state_until <> :forever)
        OR (end_kind = 0 AND shown_until <> coalesce(forget_after, :forever))""",
    "memory whose source document is gone": """
        SELECT m.tenant, m.id FROM memories m
        WHERE m.source_document_id IS NOT NULL AND NOT EXISTS (
          SELECT 1 FROM documents d
          WHERE d.tenant = m.tenant AND d.id = m.source_document_id)""",
    "wrong document count of a container": """
        SELECT c.tenant, c.container FROM containers c WHERE c.documents <> (
          SELECT count(*) FROM document_containers j
          WHERE j.tenant = c.tenant AND j.container = c.container)""",
    "wrong memory count of a container": """
        SELECT c.tenant, c.container FROM containers c WHERE c.memories <> (
          SELECT count(*) FROM memory_spans s
          WHERE s.tenant = c.tenant AND s.container = c.container AND s.end_kind = 0)""",
    "change beyond the tenant's revision": """
        SELECT h.tenant, h.revision FROM changes h
        JOIN tenants t ON t.tenant = h.tenant
        WHERE h.revision > t.revision OR h.time > t.last_time""",
    "gap in a tenant's revisions": """
        SELECT t.tenant, t.revision FROM tenants t WHERE t.revision <> t.oldest_revision - 1 + (
          SELECT count(DISTINCT h.revision) FROM changes h WHERE h.tenant = t.tenant)""",
    "change before the oldest that is kept": """
        SELECT h.tenant, h.revision FROM changes h
        JOIN tenants t ON t.tenant = h.tenant
        WHERE h.revision < t.oldest_revision""",
    "changes whose times do not follow their revisions": """
        SELECT a.tenant, a.revision FROM changes a JOIN changes b
        ON b.tenant = a.tenant AND b.revision = a.revision + 1 WHERE b.time < a.time""",
    "row of an unknown tenant": """
        SELECT tenant, container FROM containers c WHERE NOT EXISTS (
          SELECT 1 FROM tenants t WHERE t.tenant = c.tenant)""",
}


_MEMBERSHIPS = text("/* check */ SELECT tenant, document_id, container FROM document_containers")
_WRITTEN = text("/* check */ SELECT tenant, id, containers FROM documents")


def invariants(conn: Connection, steps: Steps) -> None:
    """Check every invariant in the open transaction."""
    for name, sql in INVARIANTS.items():
        steps.run(name, partial(_breaking, conn, name, sql))
    steps.run("containers written in documents", lambda: _membership(conn))


def _breaking(conn: Connection, name: str, sql: str) -> Iterator[str]:
    parameters = {"forever": FOREVER} if ":forever" in sql else {}
    rows = conn.execute(text(f"{CHECK_COMMENT} {sql}"), parameters).all()
    yield from (f"{name}: {tuple(row)}" for row in rows[:SHOWN])
    if len(rows) > SHOWN:
        yield f"{name}: and {len(rows) - SHOWN} more"


def _membership(conn: Connection) -> list[str]:
    listed: dict[tuple[int, str], set[str]] = {}
    for row in conn.execute(_MEMBERSHIPS):
        listed.setdefault((row.tenant, row.document_id), set()).add(row.container)
    wrong = [
        (row.tenant, row.id)
        for row in conn.execute(_WRITTEN)
        if listed.get((row.tenant, row.id), set()) != _written(row.containers)
    ]
    return [f"document and memberships differ: {one}" for one in wrong[:SHOWN]]


def _written(containers: str) -> set[str] | None:
    """The containers that a document names; None: they cannot be read."""
    try:
        return set(json.loads(containers))
    except (ValueError, TypeError):
        return None
