"""Inspecting a database as a whole: its pages, digests, invariants, and its mark."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service.core.digests import Digester
from service.storage import checks, digest_checks, schema
from service.storage.sqlite import high_water, presence
from service.storage.sqlite.damage import SqliteSteps, damage_of
from service.storage.sqlite.high_water import Mark
from service.storage.sqlite.read_only import open_untouched
from service.storage.steps import Steps
from service.storage.tables import metadata

_SILENT = ("ok", "*** in database main ***")


def check(path: Path, progress: Callable[[str], None]) -> list[str]:
    """Check everything about the database at `path`; the findings, none if all is well.

    Raises:
        SchemaTooNewError, SchemaTooOldError: Its rows cannot be judged.
        StorageRefusedError: There is nothing to judge, or it changed meanwhile.
    """
    left = presence.traces(path)
    if not path.exists() or not path.stat().st_size:
        return [f"file: {presence.lost(path, left)}"] if left else [f"file: {path} is empty"]
    mark = high_water.read_mark(path)
    if mark is None:
        progress("no high-water mark: whether acknowledged changes are missing cannot be told")

    def work(conn: Connection) -> list[str]:
        return inspect(conn, path, mark, progress, rows=True)

    return whole(path, work)


def whole(path: Path, work: Callable[[Connection], list[str]]) -> list[str]:
    """`work` on one snapshot of the database at `path`; that it cannot be read is a finding."""
    try:
        with open_untouched(path) as conn:
            conn.exec_driver_sql("BEGIN DEFERRED")
            try:
                return work(conn)
            finally:
                # That damaged pages make this fail, too, is no news.
                with contextlib.suppress(sqlite3.Error, DBAPIError):
                    conn.exec_driver_sql("ROLLBACK")
    except (sqlite3.Error, DBAPIError) as error:
        damage = damage_of(error)
        if damage is None:
            raise
        return [f"file: {damage}"]


def inspect(
    conn: Connection,
    path: Path,
    mark: Mark | None,
    progress: Callable[[str], None],
    *,
    rows: bool,
) -> list[str]:
    """The findings in the open transaction.

    Args:
        conn: What to inspect.
        path: Where the database is that the mark is of.
        mark: Read before the transaction began.
        progress: Gets a line as each step begins, and now and then from a long one.
        rows: Whether invariants are checked as well, and the schema must be current.
    """
    steps = SqliteSteps(conn, progress)
    _pages(conn, steps)
    version = steps.get("schema", lambda: schema.version(conn) or "")
    if version is None:
        return steps.findings
    if not version:
        left = presence.traces(path)
        lost = presence.lost(path, left) if left else f"{path} holds no database of Palimpsest"
        return [*steps.findings, f"file: {lost}"]
    if version <= schema.HEAD:
        now = steps.get("high-water mark", lambda: high_water.standing(conn))
        if now is not None:
            steps.findings.extend(high_water.findings(path, mark, now))
    if version != schema.HEAD:
        if rows and not steps.findings:
            schema.ensure_current(version)
        return steps.findings
    digester = steps.get("secret of digests", lambda: Digester(schema.digest_secret(conn)))
    if digester is not None:
        digest_checks.run(conn, steps, digester)
    if rows:
        checks.invariants(conn, steps)
    return steps.findings


def _pages(conn: Connection, steps: Steps) -> None:
    """Check that the pages of the file are whole, and that its indexes are those of its rows."""
    if steps.run("integrity of the file", lambda: _integrity(conn)):
        return
    # A page on which all hangs ends the whole check: the other tables are judged alone.
    for table in metadata.tables:
        steps.run(f"integrity of {table}", partial(_integrity, conn, f"('{table}')"))


def _integrity(conn: Connection, of: str = "") -> Iterator[str]:
    for row in conn.exec_driver_sql(f"PRAGMA integrity_check{of}").scalars():
        yield from (f"pages: {line}" for line in str(row).splitlines() if line not in _SILENT)
