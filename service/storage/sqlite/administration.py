"""What the command line does to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from service.storage.administration import Administration
from service.storage.sqlite import admin, opening, scrubbing
from service.storage.sqlite.connections import transact

T = TypeVar("T")


class SqliteAdministration(Administration):
    """The database in one file, which `migrate` and changes make if it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def migrate(self) -> tuple[str | None, str]:
        return admin.migrate(self._path)

    def check(self, progress: Callable[[str], None]) -> list[str]:
        return admin.check(self._path, progress)

    def backup(
        self,
        target: Path,
        progress: Callable[[int, int], None],
        verifying: Callable[[str], None],
    ) -> None:
        admin.backup(self._path, target, progress, verifying)

    def scrub(self, progress: Callable[[str], None]) -> str:
        admin.scrub(self._path, progress)
        return "Done: what was deleted is gone from the files. Backups made earlier keep it."

    def transact(self, work: Callable[[Connection], T]) -> T:
        with opening.opened_for_command(self._path) as opened:
            return transact(opened.conn, work)

    def change_keys(self, work: Callable[[Connection], T], *, revokes: bool = False) -> T:
        return admin.change_keys(self._path, work, frees=revokes)

    def on_erased(self, conn: Connection) -> None:
        scrubbing.mark(conn)
