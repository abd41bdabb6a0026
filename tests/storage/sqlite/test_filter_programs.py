"""Filters as functions mean what filters as SQL do, and can be stopped."""

from __future__ import annotations

import gc
import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Connection, Select, Table, func, insert, select
from sqlalchemy.exc import OperationalError

from service.core import filters as f
from service.core.metadata import Scalar, canonical, comparable
from service.core.model import Status
from service.storage import filter_programs as programs
from service.storage import filters
from service.storage.documents.lists import FIELDS as DOCUMENT_FIELDS
from service.storage.memories.rows import FIELDS as MEMORY_FIELDS
from service.storage.sqlite import filter_functions
from service.storage.sqlite.connections import connect, engine_on
from service.storage.tables import documents, memories, metadata

NAMES = [f"thing_{number:03}" for number in range(10 * filter_functions.PULSE_ROWS)]
KEYS = ("a", "b", "c.d")
TEXTS = ("", "x", "X", "xy", "Straße", "STRASSE", "true", "2", "-1.5", "2026-01-02T03:04:05Z")
NUMBERS = (-1.5, 0.0, 2.0, 1e300)
INSTANTS = (0, 5, 10, 1767323045000000)

texts = st.sampled_from(TEXTS)
scalars: st.SearchStrategy[Scalar] = st.one_of(
    texts, st.sampled_from(NUMBERS), st.booleans(), st.lists(texts, max_size=3)
)
ops = st.sampled_from(f.Op)
instant_tests = st.builds(f.CompareInstant, ops, st.sampled_from(INSTANTS))
string_tests = st.one_of(
    [st.builds(kind, texts, st.booleans()) for kind in (f.EqualsString, f.Contains, f.ListContains)]
)
tests = st.one_of(
    string_tests,
    instant_tests,
    st.builds(f.EqualsNumber, st.sampled_from(NUMBERS)),
    st.builds(f.CompareNumber, ops, st.sampled_from(NUMBERS)),
    st.builds(f.EqualsBool, st.booleans()),
    st.just(f.Exists()),
)
system = st.one_of(
    st.builds(f.Condition, st.sampled_from((f.Field.CREATED, f.Field.UPDATED)), instant_tests),
    st.builds(
        f.Condition,
        st.sampled_from((f.Field.DOCUMENT_DATE, f.Field.EVENT_DATES)),
        st.one_of(instant_tests, st.just(f.Exists())),
    ),
    st.builds(f.Condition, st.just(f.Field.STATIC), st.builds(f.EqualsBool, st.booleans())),
    st.builds(
        f.Condition,
        st.just(f.Field.STATUS),
        st.builds(f.EqualsString, st.sampled_from([status.name for status in Status])),
    ),
)
leaves = st.one_of(
    st.builds(f.Condition, st.sampled_from(KEYS), tests),
    st.builds(f.Match, st.sampled_from(KEYS), texts),
    system,
)
trees: st.SearchStrategy[f.Filter] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(f.Not, inner),
        st.builds(f.AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(f.AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
optional_instants = st.one_of(st.none(), st.sampled_from(INSTANTS))
rows = st.tuples(
    st.dictionaries(st.sampled_from(KEYS), scalars),
    st.sampled_from(INSTANTS),
    st.sampled_from(INSTANTS),
    optional_instants,
    st.lists(st.sampled_from(INSTANTS), max_size=2),
    st.booleans(),
    st.sampled_from(Status),
)


@pytest.fixture(scope="module")
def conn() -> Iterator[Connection]:
    with closing(connect(":memory:")) as raw, engine_on(raw).connect() as connection:
        metadata.create_all(connection)
        yield connection


def _all(table: Table, *columns: ColumnElement[Any]) -> Select[Any]:
    named = select(table.c.id, *columns).where(table.c.tenant == 1, table.c.id.in_(NAMES))
    return named.order_by(table.c.id)


def _memory(number: int, given: dict[str, Scalar], **columns: object) -> dict[str, object]:
    text = canonical(given)
    return {
        "tenant": 1,
        "id": NAMES[number],
        "container": "c",
        "root_id": NAMES[number],
        "version": 1,
        "content": b"",
        "metadata": text,
        "comparable": comparable(text),
        "is_static": False,
        "document_instant": None,
        "event_dates": "[]",
        "event_instants": "[]",
        "create_time": 0,
    } | columns


@settings(max_examples=300)
@given(st.lists(rows, min_size=1, max_size=6), trees)
def test_a_program_holds_of_what_the_expression_holds_of(
    conn: Connection, given_rows: list[tuple[object, ...]], tree: f.Filter
) -> None:
    for table in (memories, documents):
        conn.execute(table.delete().where(table.c.tenant == 1, table.c.id.in_(NAMES)))
    for number, row in enumerate(given_rows):
        given_metadata, created, updated, date, events, static, status = row
        assert isinstance(given_metadata, dict)
        memory = _memory(
            number,
            given_metadata,
            create_time=created,
            document_instant=date,
            event_instants=str(events),
            is_static=static,
        )
        conn.execute(insert(memories).values(memory))
        document = {
            "tenant": 1,
            "id": NAMES[number],
            "home": "",
            "content_hash": b"",
            "metadata": memory["metadata"],
            "comparable": memory["comparable"],
            "containers": "[]",
            "title": "",
            "document_date": date,
            "status": int(status),  # type: ignore[call-overload]
            "etag": "",
            "revision": number,
            "create_time": created,
            "update_time": updated,
            "error": "",
            "attempts": 0,
            "kind": 0,
        }
        conn.execute(insert(documents).values(document))
    for table, fields in ((memories, MEMORY_FIELDS), (documents, DOCUMENT_FIELDS)):
        expression = func.coalesce(filters._compiled(tree, table, fields), False)
        program = programs.call(tree, table, fields)
        both = conn.execute(_all(table, expression, program)).all()
        assert len(both) == len(given_rows)
        assert [(row[0], bool(row[1])) for row in both] == [(row[0], bool(row[2])) for row in both]


def _many(count: int) -> f.Filter:
    return f.AnyOf(tuple(f.Condition("k", f.EqualsString(f"v{n}")) for n in range(count)))


def test_long_filters_are_one_statement_whatever_they_say(conn: Connection) -> None:
    long, longer = (
        select(memories.c.id).where(
            filters.compile_filter(_many(count), memories, MEMORY_FIELDS, "sqlite")
        )
        for count in (programs.MANY_CONDITIONS, 199)
    )
    assert str(long.compile(conn)) == str(longer.compile(conn))
    few = filters.compile_filter(
        _many(programs.MANY_CONDITIONS - 1), memories, MEMORY_FIELDS, "sqlite"
    )
    assert str(select(memories.c.id).where(few).compile(conn)) != str(long.compile(conn))


def test_a_program_goes_with_its_statement() -> None:
    statement = select(memories.c.id).where(programs.call(_many(20), memories, MEMORY_FIELDS))
    kept = len(programs._programs)
    del statement
    gc.collect()
    assert len(programs._programs) == kept - 1


def test_a_statement_can_be_stopped_in_a_program() -> None:
    """As each call of it may take long, the count of its instructions says little."""
    looks = itertools.count(1)
    with closing(connect(":memory:")) as raw, engine_on(raw).connect() as conn:
        filter_functions.install(raw, lambda: next(looks) == 3)
        metadata.create_all(conn)
        conn.execute(insert(memories), [_memory(n, {}) for n in range(len(NAMES))])
        every = f.Not(_many(200))
        statement = _all(memories).where(programs.call(every, memories, MEMORY_FIELDS))
        with pytest.raises(OperationalError) as caught:
            conn.execute(statement).all()
        assert isinstance(caught.value.orig, sqlite3.OperationalError)
        assert caught.value.orig.sqlite_errorname == "SQLITE_INTERRUPT"
        assert next(looks) == 4
        assert len(conn.execute(statement).all()) == len(NAMES)
