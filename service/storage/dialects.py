"""The differences between databases; SQL everywhere else is common to all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    Connection,
    Delete,
    Dialect,
    Executable,
    Insert,
    MetaData,
    Table,
    Update,
    inspect,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError

from service.core.errors import PalimpsestError, Reason

Names: TypeAlias = tuple[str, ...]


def is_remote(conn: Connection) -> bool:
    """Whether it is PostgreSQL: each statement is a round trip, and other processes write too."""
    return conn.dialect.name != "sqlite"


def has_table(conn: Connection, name: str) -> bool:
    """Whether there is a table of this name."""
    if not is_remote(conn):
        return inspect(conn).has_table(name)
    # SQLAlchemy's inspection would keep the dialect, and all that it has, of each engine.
    there = "SELECT to_regclass($1::text) IS NOT NULL"
    return bool(conn.exec_driver_sql(there, (name,)).scalar_one())


def has_tables(conn: Connection) -> bool:
    """Whether there is any table."""
    if not is_remote(conn):
        return bool(inspect(conn).get_table_names())
    there = "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema())"
    return bool(conn.exec_driver_sql(there).scalar_one())


def _insert(dialect: str, table: Table) -> Any:
    if dialect == "sqlite":
        return sqlite_insert(table)
    # Loads all that SQLAlchemy has for PostgreSQL.
    from sqlalchemy.dialects.postgresql import insert

    return insert(table)


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
    statement = _insert(dialect, table)
    values: dict[str, Any] = {name: statement.excluded[name] for name in put}
    values |= {name: table.c[name] + statement.excluded[name] for name in add}
    done: Executable = statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_=values
    )
    return done


@cache
def _insert_if_missing(dialect: str, table: Table) -> Insert:
    insert: Insert = _insert(dialect, table).on_conflict_do_nothing()
    return insert


def insert_if_missing(conn: Connection, table: Table) -> Insert:
    """An INSERT that does nothing where a row has the same unique key already.

    Of two transactions that insert at the same time, one waits for the other, so that both
    find the row afterwards.
    """
    return _insert_if_missing(conn.dialect.name, table)


@lru_cache(maxsize=256)
def compiled(statement: Update | Delete, dialect: Dialect) -> tuple[str, Sequence[str]]:
    """A statement's text, and the names of its parameters in the order they are bound in."""
    made = statement.compile(dialect=dialect)
    return str(made), made.positiontup or tuple(made.params)


def in_transaction(conn: Connection) -> bool:
    """Whether the transaction survived an error, so that a savepoint can be undone."""
    driver: Any = conn.connection.driver_connection
    if not is_remote(conn):
        return bool(driver.in_transaction)
    return not driver.is_closed() and bool(driver.is_in_transaction())


_TRANSACTION: Final = "transaction"


def note_transaction(conn: Connection, number: str | None) -> None:
    """Keep PostgreSQL's number of the open transaction; None: it has none."""
    if number is not None:
        conn.info[_TRANSACTION] = number


def noted_transaction(conn: Connection) -> str | None:
    """The number that was kept since this was asked for last."""
    number: str | None = conn.info.pop(_TRANSACTION, None)
    return number


_NO_ROOM: Final = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")
"""SQLite's names of errors that a full disk, a quota or a limit on files can cause."""


def error_name(error: BaseException | None) -> str:
    """The driver's name of a database error, such as SQLITE_BUSY; "" if it has none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlite_errorname", "") or ""


def to_run_again(error: BaseException) -> bool:
    """Whether PostgreSQL undid a transaction for the sake of another one that was in its way."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlstate", None) in ("40001", "40P01")


def lacks_room(error: BaseException | None) -> bool:
    """Whether more room on the disk could have prevented a failure."""
    if isinstance(error, PalimpsestError):
        return error.reason is Reason.STORAGE_FULL or lacks_room(error.__cause__)
    return error_name(error).startswith(_NO_ROOM)


_ROWS_PER_PREFIX = {"tenant": 1_000_000, "container": 20_000, "end_kind": 10_000}


def create_tables(conn: Connection, metadata: MetaData) -> None:
    """All tables, empty, on SQLite."""
    metadata.create_all(conn)


def seed_statistics(conn: Connection, metadata: MetaData) -> None:
    """Give the planner statistics of what the tables will be like.

    Without statistics SQLite takes a primary key's first column, the tenant, for
    as selective as three columns of an index, and reads the whole tenant. The
    figures are of a large tenant; they decide only between indexes.
    """
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
