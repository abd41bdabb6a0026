"""Whether a database has been at a path, though there is none now."""

from __future__ import annotations

from pathlib import Path

from service.storage.schema import ForeignDatabaseError, StorageRefusedError

__all__ = [
    "FIRST_KEY",
    "DatabaseLostError",
    "ForeignDatabaseError",
    "StorageRefusedError",
    "ensure_not_lost",
    "lost",
    "traces",
]

FIRST_KEY = "first-key"
"""The file in the data folder that holds the key of a database's first start."""


class DatabaseLostError(StorageRefusedError):
    """A database has been here, and its file is gone or empty."""


def traces(path: Path) -> list[Path]:
    """Files that only a database at `path` leaves in its folder, as far as they are there.

    Each is made after the first commit, so that a first start that was cut off leaves none.
    """
    found = [path.with_name(path.name + ".mark"), path.with_name(path.name + ".keys")]
    found.append(path.with_name(FIRST_KEY))
    found = [file for file in found if file.exists()]
    log = path.with_name(path.name + "-wal")
    # The log has pages before the first commit, but not before the file has its first page.
    if _empty(path) and not _empty(log):
        found.append(log)
    return found


def _empty(file: Path) -> bool:
    return not file.exists() or not file.stat().st_size


def lost(path: Path, left: list[Path]) -> DatabaseLostError:
    """What to say when `left` are the traces of a database that is not there."""
    state = "is empty" if path.exists() else "is missing"
    names = ", ".join(file.name for file in left)
    return DatabaseLostError(
        f"{path} {state}, but a database has been here: it left {names}. "
        "Put the database back (a backup goes there under its name, when the other files whose "
        f"names begin with {path.name} have been moved out of the folder). To begin with an "
        f"empty database, move {names} out of the folder"
    )


def ensure_not_lost(path: Path, left: list[Path]) -> None:
    """Raises DatabaseLostError where a new file would take the place of a database."""
    if left and _empty(path):
        raise lost(path, left)
