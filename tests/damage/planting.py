"""Damaging files as disks and clumsy hands do."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from service.storage import checksums
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync
from tests.old_schemas import set_back

PAGE = 4096


def places(file: Path, value: bytes) -> list[int]:
    """Where a text stands in a file."""
    return [found.start() for found in re.finditer(re.escape(value), file.read_bytes())]


def flip(file: Path, offset: int, bit: int = 1) -> None:
    """Turn one bit of a byte."""
    with file.open("r+b") as opened:
        opened.seek(offset)
        (byte,) = opened.read(1)
        opened.seek(offset)
        opened.write(bytes([byte ^ bit]))


def zero(file: Path, page: int) -> None:
    """Overwrite a page, counted from 1, with zeros."""
    with file.open("r+b") as opened:
        opened.seek((page - 1) * PAGE)
        opened.write(bytes(PAGE))


def truncate(file: Path, size: int) -> None:
    with file.open("r+b") as opened:
        opened.truncate(size)


def root_page(file: Path, name: str) -> int:
    """The first page of a table or an index."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as conn:
        [(page,)] = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,))
    return int(page)


def check(database: Path) -> list[str]:
    return SqliteAdministration(database).check(lambda _: None)


def age(database: Path) -> None:
    """What the release before wrote: without checksums and without a mark."""
    with open_sync(database) as conn:
        for table in checksums.COVERED:
            conn.execute(text(f"ALTER TABLE {table} DROP COLUMN checksum"))
        conn.execute(text("DROP INDEX ix_jobs_put_off"))
        set_back(conn, "0003")
    database.with_name("palimpsest.db.mark").unlink()
