"""Failures of PostgreSQL: for callers, and in words for the operator."""

from __future__ import annotations

from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

from service.core.errors import PalimpsestError, Reason
from service.storage import schema

_LOST: Final = (
    "08",  # connection exceptions
    "57P01",  # stopped by the operator
    "57P02",  # stopped because another session crashed
    "57P03",  # starting, stopping, or not yet following its primary
    "57P05",  # idle for too long
    "25P03",  # idle in a transaction for too long
)
_BUSY: Final = (
    "25006",  # read-only: a standby
    "40001",
    "40P01",
    "53",  # out of connections, memory or other resources
    "55P03",  # a lock was not to be had in time
    "58",  # errors of the system
)
_FULL: Final = "53100"
_CANCELLED: Final = "57014"


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of an error; "" if it is not PostgreSQL's."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlstate", None) or ""


def lost(error: BaseException) -> bool:
    """Whether the connection is gone, or could not be made."""
    if sqlstate(error).startswith(_LOST):
        return True
    original: BaseException | None = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        original = error.orig.__cause__ or error.orig
    if isinstance(original, asyncpg.DataError):
        return False
    if isinstance(original, asyncpg.InterfaceError):
        return "clos" in str(original) or "released" in str(original)
    # The driver has lost track when PostgreSQL ends a session while nothing is asked.
    return isinstance(original, asyncpg.InternalClientError | OSError | TimeoutError)


def translated(error: BaseException) -> BaseException:
    """The error for callers instead of a database error; other errors stay as they are."""
    code = sqlstate(error)
    if code == _FULL:
        return PalimpsestError(
            Reason.STORAGE_FULL, "The disk of the database is full", retry_after=10
        )
    if code == _CANCELLED:
        return PalimpsestError(
            Reason.OVERLOADED, "The read took too long; narrow it", retry_after=1
        )
    if code.startswith(_BUSY) or lost(error):
        return unavailable()
    return error


def unavailable() -> PalimpsestError:
    return PalimpsestError(
        Reason.STORAGE_UNAVAILABLE,
        "The database cannot be used at the moment; retry",
        retry_after=1,
    )


_TEXTS: Final = {
    "08": "the connection to PostgreSQL broke; try again",
    "28": "PostgreSQL refuses the user or the password of the database's URL",
    "3D000": "there is no such database on the server; create it, or correct the URL",
    "3F000": "there is no such schema in the database",
    "42501": "the user of the database's URL may not do this; it must own the database's tables",
    "53100": "the disk of the database is full; make room and try again",
    "53300": "PostgreSQL has no connection left; lower --database-connections, or allow it more",
    "57P": "PostgreSQL is starting or stopping; try again",
    "25006": "the server is a standby, and only reads; name the primary",
    "55P03": "the database is busy; try again",
}


def explain(error: BaseException) -> str | None:
    """A message with advice; None when it is no failure of the database."""
    if isinstance(
        error, schema.SchemaTooNewError | schema.SchemaTooOldError | schema.StorageRefusedError
    ):
        return str(error)
    code = sqlstate(error)
    for prefix, text in _TEXTS.items():
        if code.startswith(prefix):
            return text
    if code:
        return f"the database failed ({code})"
    if isinstance(error, DBAPIError | asyncpg.InterfaceError) or lost(error):
        return "PostgreSQL cannot be reached; look at the URL, and whether it runs"
    return None
