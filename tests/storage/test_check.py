"""What `palimpsest check` finds in a database."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Connection

from service.core import model as m
from service.storage import checks, digest_checks
from service.storage.checks import INVARIANTS
from service.storage.steps import Steps
from service.storage.store import SqlStore
from tests.backends.base import Backend
from tests.storage.exercise import fill

MEANT = "/* break */ "
"""Keeps these statements out of what is judged by its query plan."""

BREAKS = {
    "document without content": "DELETE FROM document_contents WHERE document_id = {doc}",
    "content without document": "UPDATE document_contents SET document_id = 'x'"
    " WHERE document_id = {doc}",
    "membership without document": "UPDATE document_containers SET document_id = 'x'"
    " WHERE document_id = {doc} AND container = 'a'",
    "document in no container": "DELETE FROM document_containers WHERE document_id = {doc}",
    "membership at another revision than its document": "UPDATE document_containers"
    " SET revision = 99 WHERE document_id = {doc} AND container = 'a'",
    "document whose home is not the first of its containers": "UPDATE documents SET home = 'b'"
    " WHERE id = {doc}",
    "custom id missing in a container of its document": "DELETE FROM shared_custom_ids"
    " WHERE document_id = {doc}",
    "custom id in a container that its document is not in": "UPDATE shared_custom_ids"
    " SET container = 'x' WHERE document_id = {doc}",
    "membership in an unknown container": "DELETE FROM containers WHERE container = 'b'",
    "memory in an unknown container": "DELETE FROM containers WHERE container = 'a'",
    "job without document": "UPDATE jobs SET document_id = 'x' WHERE document_id = {doc}",
    "job of another revision than its document": "UPDATE jobs SET revision = 99"
    " WHERE document_id = {doc}",
    "unfinished document without a job": "DELETE FROM jobs WHERE document_id = {doc}",
    "document at work that no worker holds": "UPDATE documents SET status = 4 WHERE id = {doc}",
    "finished document with a job": "UPDATE documents SET status = 6 WHERE id = {doc}",
    "chunk without document": "INSERT INTO chunks VALUES"
    " (1, 'doc_x', 0, 'chk_x', '', 0, 0, '', '', NULL, '', '', NULL, 0, '', NULL)",
    "gap in the positions of a document's chunks": "INSERT INTO chunks VALUES"
    " (1, {doc}, 1, 'chk_x', '', 0, 0, '', '', NULL, '', '', NULL, 0, '', NULL)",
    "chunk id that is used twice": "INSERT INTO chunks VALUES"
    " (1, {doc}, 0, 'chk_x', '', 0, 0, '', '', NULL, '', '', NULL, 0, '', NULL),"
    " (1, {doc}, 1, 'chk_x', '', 0, 0, '', '', NULL, '', '', NULL, 0, '', NULL)",
    "vector of an unknown embedder, or of another length than its vectors": "UPDATE memories"
    " SET vector = '\\x00', embedder = 77 WHERE version = 2",
    "first version that is not its own root": "UPDATE memories SET parent_id = 'x'"
    " WHERE version = 1",
    "version whose parent is not the version before": "UPDATE memories SET parent_id = 'x'"
    " WHERE version = 2",
    "superseded version without a successor, or the reverse": "DELETE FROM memories"
    " WHERE version = 2",
    "version without exactly one current span": "UPDATE memory_spans SET state_until = shown_until"
    " WHERE end_kind = 2 AND state_until = 9223372036854775807",
    "span without its version": "UPDATE memory_spans SET root_id = 'x' WHERE end_kind = 1",
    "span that does not begin where the one before it ends": "UPDATE memory_spans"
    " SET state_until = state_until + 1 WHERE state_until <> 9223372036854775807",
    "span whose times are out of order": "UPDATE memory_spans SET shown_from = shown_until + 1"
    " WHERE end_kind = 1",
    "memory whose source document is gone": "UPDATE memories SET source_document_id = 'doc_x'"
    " WHERE version = 2",
    "wrong document count of a container": "UPDATE containers SET documents = 77"
    " WHERE container = 'a'",
    "wrong memory count of a container": "UPDATE containers SET memories = 77"
    " WHERE container = 'a'",
    "change beyond the tenant's revision": "UPDATE tenants SET revision = revision - 1",
    "gap in a tenant's revisions": "DELETE FROM changes WHERE revision = 2",
    "change before the oldest that is kept": "UPDATE tenants SET oldest_revision = 3",
    "changes whose times do not follow their revisions": "UPDATE changes SET time = time + 999999"
    " WHERE revision = 2",
    "row of an unknown tenant": "UPDATE containers SET tenant = 77 WHERE container = 'a'",
}


class _Reading(Steps):
    """Of a database that can be read."""

    def damage(self, error: Exception) -> str | None:
        return None

    def watching(self) -> AbstractContextManager[None]:
        return nullcontext()


class _UndoneError(Exception):
    def __init__(self, findings: list[str]) -> None:
        self.findings = findings


async def _broken_by(store: SqlStore, sql: str) -> list[str]:
    """The findings in a transaction that breaks something and is undone."""

    def work(conn: Connection) -> None:
        conn.exec_driver_sql(MEANT + sql)
        steps = _Reading(lambda _: None)
        digest_checks.run(conn, steps, store.digester)
        checks.invariants(conn, steps)
        raise _UndoneError(steps.findings)

    try:
        await store.engine.database.write(work)
    except _UndoneError as undone:
        return undone.findings
    raise AssertionError("it was not undone")


async def test_every_broken_invariant_is_found_and_nothing_in_a_sound_database(
    backend: Backend, store: SqlStore, principal: m.Principal
) -> None:
    await fill(store, principal)
    document = await store.documents.get(principal, "c2")
    assert set(BREAKS) == set(INVARIANTS)
    for name, sql in BREAKS.items():
        findings = await _broken_by(store, sql.format(doc=f"'{document.id}'"))
        assert any(finding.startswith(f"{name}: ") for finding in findings), (name, findings)
    assert backend.check() == []


DAMAGES = {
    "document": "UPDATE documents SET title = 'other' WHERE id = {doc}",
    "memory": "UPDATE memories SET metadata = '{{\"b\":2}}' WHERE version = 2",
    "memory and its forgetting": "UPDATE memory_spans SET forget_reason = 'other'"
    " WHERE end_kind = 2",
    "key": "UPDATE api_keys SET label = 'other'",
    "remembered request": "UPDATE requests SET receipt = '?'",
}
"""By kind of row: a change that its digest does not cover up."""


async def test_a_row_that_is_not_what_was_written_is_found(
    store: SqlStore, principal: m.Principal
) -> None:
    await fill(store, principal)
    request = m.IdempotencyKey("00000000-0000-4000-8000-000000000001", b"fingerprint")
    await store.documents.upsert(
        principal, m.DocumentWrite("text", metadata={"list": ["x", "ü"], "n": 1e21}), request
    )
    dated = m.TemporalContext("2024-01-02", ("2024-01-02T03:04:05Z", "2023-01-01"))
    await store.memories.create(
        principal,
        m.MemoryCreate("a", (m.NewMemory("dated", {"n": -0.5, "b": True}, temporal=dated),)),
        None,
    )
    document = await store.documents.get(principal, "c2")
    for kind, sql in DAMAGES.items():
        findings = await _broken_by(store, sql.format(doc=f"'{document.id}'"))
        assert [one for one in findings if one.startswith(f"damaged {kind}: ")], (kind, findings)
    assert await _broken_by(store, "SELECT 1") == []
