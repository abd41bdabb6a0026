"""Every statement that the suites issue says whose rows it is about.

This module runs last (see conftest.py), so that it sees all of them.
"""

from __future__ import annotations

import re
from itertools import groupby

import pytest

from service.core.model import Principal
from service.storage.store import SqlStore
from tests import statements
from tests.backends.selection import selected
from tests.storage.conftest import Clock
from tests.storage.exercise import exercise
from tests.tenancy import OWNED, unscoped

ACROSS_TENANTS = {
    r"SELECT memory_spans\.tenant, .* WHERE memory_spans\.end_kind = .* LIMIT": (
        "the sweep looks for what is due in all tenants, and works on each by its own"
    ),
    r"SELECT requests\.tenant, requests\.request_id .* requests\.create_time < .* LIMIT": (
        "the sweep looks for receipts kept long enough, and removes each by its tenant"
    ),
    r"SELECT erased_containers\.tenant, .* FROM erased_containers LIMIT": (
        "the sweep looks for tags of deleted containers, and takes each out by its tenant"
    ),
    r"SELECT tenants\.tenant FROM tenants WHERE \? > \(SELECT changes\.time": (
        "the retention looks at the first change of each tenant, and removes by its tenant"
    ),
    r"SELECT anon_1\.tenant, .* WHERE (memories|chunks)\.embedder [<>] \? LIMIT": (
        "indexing anew looks for what is in another vector space, and works on each by its tenant"
    ),
    r"SELECT count\(\*\) AS count_1 FROM (memories|chunks) WHERE \w+\.embedder [<>] \?$": (
        "the operator is told how much there is to index anew"
    ),
    r"SELECT (memories|chunks)\.tenant, .* AS made_by FROM .* WHERE substr\(.* < \? .* LIMIT": (
        "the same for what an earlier analysis made"
    ),
    r"SELECT count\(\*\) AS count_1 FROM (memories|chunks) WHERE \w+\.embedder = \? AND substr\(": (
        "the operator is told how much of that there is"
    ),
    r"WITH RECURSIVE found \(tenant\) AS": "the queue lets tenants take turns",
    r"SELECT jobs\.tenant, .* WHERE due_time > \d+ AND jobs\.due_time > \?$": (
        "a worker looks for what dead ones of any tenant hold, and frees each by its tenant"
    ),
    r"SELECT api_keys\..* FROM api_keys JOIN tenants .* WHERE api_keys\.key_hash (IN|= ANY)": (
        "a key is what says whose call it is"
    ),
    r"SELECT count\(\*\) AS count_1 FROM api_keys$": "whether a server is fresh",
    r"SELECT count\(\*\) AS count_1, count\(api_keys\.revoke_time\) AS count_2 FROM api_keys$": (
        "the high-water mark counts changes of keys"
    ),
    r"SELECT api_keys\..* FROM api_keys JOIN tenants .* ORDER BY": "the operator lists all keys",
    r"UPDATE api_keys SET revoke_time=\? WHERE api_keys\.key_id = \?": (
        "the operator names a key by its id"
    ),
    r"SELECT webhooks\.tenant, webhooks\.id, .* WHERE webhooks\.state = .* LIMIT": (
        "the delivery looks for what is due in all tenants, and works on each by its own"
    ),
    r"SELECT webhooks\..* FROM webhooks JOIN tenants .* ORDER BY webhooks\.create_time": (
        "the operator lists all webhooks, and names one by its id"
    ),
}
"""Statements about all tenants by design, and why."""


_FILTER = re.compile(r"coalesce\((?:(?!SELECT)[^()]|\((?:(?!SELECT)[^()])*\))*\)")
_PARAMETER = re.compile(r"\$\d+(?:::(?:DOUBLE PRECISION|\w+)(?:\[\])?)?")
_NUMBERED = re.compile(r"_\d+\b")
_FILTERS = re.compile(r"\(TRUE\)|NOT TRUE|TRUE(?: (?:AND|OR) TRUE)+")


def shortened(sql: str) -> str:
    """The statement on one line, with long lists of parameters and conditions cut to one.

    What goes cannot be what names a tenant, and has no query inside.
    """
    line = re.sub(r"\?(?:, \?)+", "?", " ".join(sql.split()))
    line = re.sub(r"\(\?\)(?:, \(\?\))+", "(?)", line)
    while (shorter := _FILTERS.sub("TRUE", _FILTER.sub("TRUE", line))) != line:
        line = shorter
    # Branches alike but for their parameters, and the numbers of their names.
    branches = groupby(line.split(" UNION ALL "), lambda branch: _NUMBERED.sub("", branch))
    return " UNION ALL ".join(next(alike) for _, alike in branches)


def excepted(sql: str) -> bool:
    """Whether it may be about all tenants; parameters of PostgreSQL are read as those of SQLite."""
    plain = _PARAMETER.sub("?", sql)
    return any(re.match(pattern, plain) for pattern in ACROSS_TENANTS)


async def test_every_statement_names_the_tenant(
    store: SqlStore, principal: Principal, clock: Clock
) -> None:
    await exercise(store, principal, clock)
    issued = {shortened(sql) for sql in statements.seen}
    judged = {sql: unscoped(sql, selected()) for sql in issued if not excepted(sql)}
    assert len(judged) > 70
    faulty = {sql: tables for sql, tables in judged.items() if tables}
    assert faulty == {}, "\n\n".join(f"{sql}\n  {tables}" for sql, tables in faulty.items())


def test_the_tables_of_tenants_are_known() -> None:
    assert {"documents", "document_contents", "memories", "memory_spans", "changes"} < OWNED


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM documents WHERE id = ?",
        "SELECT id FROM documents",
        "SELECT d.id FROM documents AS d WHERE d.tenant = ? OR d.id = ?",
        "SELECT id FROM documents WHERE NOT tenant = ?",
        "SELECT id FROM documents WHERE tenant > ?",
        "SELECT a.id FROM documents AS a JOIN jobs AS b ON a.id = b.document_id WHERE a.tenant = ?",
        "SELECT a.id FROM documents AS a JOIN jobs AS b ON a.tenant = b.tenant",
        "SELECT id FROM documents WHERE tenant = ? UNION ALL SELECT id FROM memories WHERE id = ?",
        "SELECT id FROM documents WHERE tenant = ? AND id IN (SELECT document_id FROM jobs)",
        "UPDATE documents SET title = ? WHERE id = ?",
        "UPDATE documents SET tenant = ? WHERE id = ?",
        "DELETE FROM documents WHERE id = ?",
        "DELETE FROM documents WHERE tenant = ? AND EXISTS (SELECT 1 FROM jobs WHERE revision = 1)",
        "INSERT INTO jobs (document_id, revision) VALUES (?, ?)",
        "WITH a AS (SELECT id FROM documents) SELECT id FROM a",
    ],
)
def test_a_statement_that_does_not_is_noticed(sql: str) -> None:
    assert unscoped(sql)


GIVEN = "UPDATE jobs SET holder=given.p1 FROM unnest($1::TEXT[], $2::INTEGER[]) AS given (p1, p2)"


@pytest.mark.parametrize(
    ("sql", "noticed"),
    [
        (f"{GIVEN} WHERE jobs.document_id = given.p1", True),
        (f"{GIVEN} WHERE jobs.tenant = given.p2 AND jobs.document_id = given.p1", False),
        ("SELECT id FROM documents WHERE id = ANY ($1::VARCHAR[])", True),
        ("SELECT id FROM documents WHERE tenant = ANY ($1::INTEGER[])", False),
    ],
)
def test_rows_in_arrays_are_read_as_those_of_statements(sql: str, noticed: bool) -> None:
    assert bool(unscoped(sql, "postgres")) is noticed


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM documents WHERE tenant = ? AND (id = ? OR title = ?)",
        "SELECT id FROM documents WHERE (documents.tenant, documents.id) IN ((?, ?), (?, ?))",
        "SELECT a.id FROM documents AS a JOIN jobs AS b ON b.tenant = a.tenant WHERE a.tenant = ?",
        "SELECT 1 FROM jobs j WHERE tenant = 1 AND 1 IN (SELECT 1 FROM changes c WHERE c.tenant=?)",
        "SELECT (SELECT 1 FROM changes c WHERE c.tenant = j.tenant) FROM jobs j WHERE j.tenant = ?",
        "UPDATE documents SET title = ? WHERE documents.tenant = ? AND id = ?",
        "DELETE FROM documents WHERE tenant = ?",
        "INSERT INTO jobs (tenant, document_id) VALUES (?, ?)",
        "SELECT value FROM secrets WHERE name = ?",
    ],
)
def test_a_statement_that_does_is_let_pass(sql: str) -> None:
    assert unscoped(sql) == []
