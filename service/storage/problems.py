"""Failures of the database in words for the operator."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

from service.storage.schema import SchemaTooNewError


def explain(error: BaseException) -> str | None:
    """What to tell and advise; None when it is no failure of the database."""
    if isinstance(error, SchemaTooNewError):
        return str(error)
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return None
    name = getattr(original, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "the database is busy; try again, or stop the server first"
    if name.startswith("SQLITE_FULL"):
        return "the disk is full; make room and try again"
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return "the file is damaged or no database; put back the last backup"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return "the database cannot be opened for writing; look at the owner of its folder"
    return f"the database failed: {name or original}"
