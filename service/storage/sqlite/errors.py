"""Failures of the database in words for the operator."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

from service.storage.dialects import error_name
from service.storage.schema import SchemaTooNewError, SchemaTooOldError
from service.storage.sqlite.damage import damage_of
from service.storage.sqlite.presence import StorageRefusedError

_TEXTS = {
    ("SQLITE_BUSY", "SQLITE_LOCKED"): "the database is busy; try again, or stop the server first",
    ("SQLITE_FULL",): "the disk is full; make room and try again",
    ("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH"): (
        "the database cannot be written; look at the owner and the mode of its folder and files, "
        "and whether they lie on a read-only medium"
    ),
    ("SQLITE_CANTOPEN",): (
        "the database cannot be opened; look at the owner and the mode of its folder and files"
    ),
    ("SQLITE_NOMEM", "SQLITE_IOERR_NOMEM"): "there is not enough memory",
    ("SQLITE_IOERR",): "the disk failed; look at the system's log",
    ("SQLITE_INTERRUPT",): "it was interrupted",
}


def explain(error: BaseException) -> str | None:
    """A message with advice; None when it is no failure of the database."""
    if isinstance(error, SchemaTooNewError | SchemaTooOldError | StorageRefusedError):
        return str(error)
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return None
    damage = damage_of(error)
    if damage is not None:
        return f"{damage}; `palimpsest check` says more, and the last sound backup helps"
    name = error_name(error)
    for prefixes, text in _TEXTS.items():
        if name.startswith(prefixes):
            return text
    return f"the database failed ({name or type(original).__name__})"
