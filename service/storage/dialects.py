"""The differences between databases; SQL everywhere else is common to all."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Executable,
    Float,
    Insert,
    MetaData,
    Table,
    literal,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from service.core.errors import PalimpsestError, Reason

_INSERTS = {"sqlite": sqlite_insert}

Names: TypeAlias = tuple[str, ...]


def upsert(conn: Connection, table: Table, *, put: Names = (), add: Names = ()) -> Executable:
    """An INSERT that changes the row of the same primary key, if there is one.

    Args:
        conn: Has the dialect.
        table: Where to insert.
        put: Columns that get the new value.
        add: Columns to which the new value is added.
    """
    return _upsert(conn.dialect.name, table, put, add)


@cache
def _upsert(dialect: str, table: Table, put: Names, add: Names) -> Executable:
    # Made once: making it costs more than running it.
    statement = _INSERTS[dialect](table)
    values: dict[str, Any] = {name: statement.excluded[name] for name in put}
    values |= {name: table.c[name] + statement.excluded[name] for name in add}
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_=values
    )


@cache
def _insert_if_missing(dialect: str, table: Table) -> Insert:
    insert: Insert = _INSERTS[dialect](table).on_conflict_do_nothing()
    return insert


def insert_if_missing(conn: Connection, table: Table) -> Insert:
    """An INSERT that does nothing where a row has the same unique key already.

    Of two transactions that insert at the same time, one waits for the other, so that both
    find the row afterwards.
    """
    return _insert_if_missing(conn.dialect.name, table)


def in_transaction(conn: Connection) -> bool:
    """Whether the transaction survived an error, so that a savepoint can be undone."""
    driver: Any = conn.connection.driver_connection
    return bool(driver.in_transaction)


_NO_ROOM: Final = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")
"""SQLite's names of errors that a full disk, a quota or a limit on files can cause."""


def error_name(error: BaseException | None) -> str:
    """The driver's name of a database error, such as SQLITE_BUSY; "" if it has none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlite_errorname", "") or ""


def lacks_room(error: BaseException | None) -> bool:
    """Whether more room on the disk could have prevented a failure."""
    if isinstance(error, PalimpsestError):
        return error.reason is Reason.STORAGE_FULL or lacks_room(error.__cause__)
    return error_name(error).startswith(_NO_ROOM)


_ROWS_PER_PREFIX = {"tenant": 1_000_000, "container": 20_000, "end_kind": 10_000}


def create_tables(conn: Connection, metadata: MetaData) -> None:
    """All tables, empty.

    Indexes that are partial on SQLite are so everywhere. The tables declare it for SQLite only:
    naming another database loads all that SQLAlchemy has for it, at every start.
    """
    if conn.dialect.name != "sqlite":
        for table in metadata.tables.values():
            for index in table.indexes:
                where = index.dialect_options["sqlite"]["where"]
                index.dialect_kwargs[f"{conn.dialect.name}_where"] = where
    metadata.create_all(conn)


def seed_statistics(conn: Connection, metadata: MetaData) -> None:
    """Give the planner statistics of what the tables will be like.

    Without statistics SQLite takes a primary key's first column, the tenant, for
    as selective as three columns of an index, and reads the whole tenant. The
    figures are of a large tenant; they decide only between indexes.
    """
    if conn.dialect.name != "sqlite":
        return
    conn.exec_driver_sql("ANALYZE sqlite_schema")
    conn.exec_driver_sql("DELETE FROM sqlite_stat1")
    for table in metadata.sorted_tables:
        rowless = table.dialect_options["sqlite"]["with_rowid"] is False
        for row in conn.exec_driver_sql(f"PRAGMA index_list({table.name})").all():
            columns = [
                info.name for info in conn.exec_driver_sql(f"PRAGMA index_info({row.name})").all()
            ]
            name = table.name if rowless and row.origin == "pk" else row.name
            stat = " ".join(map(str, _rows_per_prefix(columns, unique=bool(row.unique))))
            conn.exec_driver_sql(
                "INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", (table.name, name, stat)
            )


def _rows_per_prefix(columns: list[str], *, unique: bool) -> list[int]:
    """The form of sqlite_stat1: all rows, then rows that share each prefix."""
    rows = 1_000_000
    shared = [rows]
    for column in columns:
        rows = min(rows, _ROWS_PER_PREFIX.get(column, 2))
        shared.append(rows)
    if unique:
        shared[-1] = 1
    return shared


class JsonPart(FunctionElement[Any]):
    """One part of a comparable form: (column, path); NULL if absent."""

    inherit_cache = True
    name = "json_part"


class NumberPart(JsonPart):
    """The same, compared as a number."""

    inherit_cache = True
    name = "number_part"
    type = Float()


@compiles(JsonPart, "sqlite")
def _json_part_sqlite(element: JsonPart, compiler: Any, **kw: Any) -> str:
    column, path = _path(element, compiler, kw)
    return f"json_extract({column}, {path})"


class JsonHas(FunctionElement[bool]):
    """Whether the list at (column, path) has an element (3rd)."""

    inherit_cache = True
    name = "json_has"
    type = Boolean()


@compiles(JsonHas, "sqlite")
def _json_has_sqlite(element: JsonHas, compiler: Any, **kw: Any) -> str:
    column, path = _path(element, compiler, kw)
    value = compiler.process(list(element.clauses)[2], **kw)
    return f"EXISTS (SELECT 1 FROM json_each({column}, {path}) AS e WHERE e.value = {value})"  # noqa: S608  (compiled parts)


class AnyInstant(FunctionElement[bool]):
    """Whether a JSON list of instants (1st) has one within [2nd, 3rd]."""

    inherit_cache = True
    name = "any_instant"
    type = Boolean()


@compiles(AnyInstant, "sqlite")
def _any_instant_sqlite(element: AnyInstant, compiler: Any, **kw: Any) -> str:
    column, low, high = (compiler.process(c, **kw) for c in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({column}) AS e WHERE e.value BETWEEN {low} AND {high})"  # noqa: S608  (compiled parts)


FILTER_FUNCTION: Final = "filter_holds"
"""Evaluates a program of `filter_programs` on a row."""


_CALL_FUNCTIONS: Final = frozenset({"sqlite"})


def calls_functions(dialect: str) -> bool:
    """Whether statements can call functions of this process."""
    return dialect in _CALL_FUNCTIONS


class FilterHolds(FunctionElement[bool]):
    """Whether a program (1st) holds of a comparable form (2nd) and fields (the others)."""

    inherit_cache = True
    name = FILTER_FUNCTION
    type = Boolean()


@compiles(FilterHolds, "sqlite")
def _filter_holds_sqlite(element: FilterHolds, compiler: Any, **kw: Any) -> str:
    return f"{FILTER_FUNCTION}({compiler.process(element.clauses, **kw)})"


class TextPosition(FunctionElement[int]):
    """Place of the 2nd text in the 1st, from 1; 0 if it is not there."""

    inherit_cache = True
    name = "text_position"


@compiles(TextPosition, "sqlite")
def _text_position_sqlite(element: TextPosition, compiler: Any, **kw: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kw)})"


def key_path(key: str, part: str) -> ColumnElement[str]:
    """The bound path of a part; keys hold no quotes, by the contract's pattern."""
    return literal(f'$."{key}".{part}')


def _path(element: FunctionElement[Any], compiler: Any, kw: dict[str, Any]) -> tuple[str, str]:
    column, path = list(element.clauses)[:2]
    return compiler.process(column, **kw), compiler.process(path, **kw)
