"""SQLite: the database is a file in its data folder."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from service.core.database_location import DatabaseLocation
from service.core.times import WallClock
from service.ports.indexing import Indexer
from service.settings import database_path
from service.storage.engine import StoreOptions
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.key_epoch import KeyEpoch
from service.storage.sqlite.store import SqliteStore, open_store
from tests.backends.base import COMMENT, QUIET, Backend, WriteHold
from tests.backends.files import matches_in
from tests.waiting import HANG_SECONDS


class SqliteHold:
    """The one writer's lock of a file."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def take(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def revoke_key(self, secret: str) -> None:
        """Only the holder can write, so it does it, and lets go for a moment."""
        self._connection.execute(
            "UPDATE api_keys SET revoke_time = 1 WHERE key_id = ?", (secret.split("_")[1],)
        )
        self._connection.execute("COMMIT")
        with KeyEpoch(self._path) as epoch:
            epoch.advance()
        self.take()

    def release(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class SqliteBackend(Backend):
    """A file in a folder, with whatever else SQLite and the service keep next to it."""

    @property
    def path(self) -> Path:
        return database_path(self.folder)

    @property
    def location(self) -> DatabaseLocation:
        return DatabaseLocation(self.path)

    @property
    def settings(self) -> dict[str, Any]:
        return {"data_dir": self.folder}

    @property
    def options(self) -> Sequence[str]:
        return ("--data-dir", str(self.folder))

    async def open(
        self,
        clock: WallClock | None = None,
        *,
        options: StoreOptions = QUIET,
        indexer: Indexer | None = None,
    ) -> SqliteStore:
        return await open_store(self.path, options, clock, indexer=indexer)

    def rows(self, sql: str, **values: object) -> list[Any]:
        with open_sync(self.path) as conn:
            return list(conn.execute(text(COMMENT + sql), values))

    def execute(self, sql: str, **values: object) -> None:
        with open_sync(self.path) as conn:
            transact(conn, lambda conn: conn.execute(text(COMMENT + sql), values))

    @contextmanager
    def hold_writes(self) -> Iterator[WriteHold]:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=HANG_SECONDS)
        with closing(connection):
            hold = SqliteHold(connection, self.path)
            hold.take()
            try:
                yield hold
            finally:
                hold.release()

    def matches(self, pattern: re.Pattern[bytes]) -> set[bytes]:
        return matches_in(self.folder, pattern, but="first-key")

    def is_open_in(self, pid: int) -> bool:
        try:
            return any(file.samefile(self.path) for file in Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            return False

    def close(self) -> None:
        """The folder holds everything."""
