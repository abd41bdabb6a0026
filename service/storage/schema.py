"""Bringing a database to the current schema."""

from __future__ import annotations

import secrets as entropy
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, MetaData, select, text

from service.storage import dialects, tables

HEAD = "0012"
"""The revision that this code needs."""

DEFAULT_TENANT = "default"


class StorageRefusedError(RuntimeError):
    """The operator has to decide how to continue; the text names the alternatives."""


class ForeignDatabaseError(StorageRefusedError):
    """It is a database of another program."""


class SchemaTooNewError(RuntimeError):
    """The database was written by a newer release."""


class SchemaTooOldError(RuntimeError):
    """The database was written by an older release and is not migrated yet."""


def version(conn: Connection) -> str | None:
    """The schema's revision; None for an empty database."""
    if not dialects.has_table(conn, "alembic_version"):
        return None
    found = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def bring_up(
    conn: Connection,
    create: Callable[[Connection, MetaData], None] = dialects.create_tables,
    seed: Callable[[Connection, MetaData], None] | None = dialects.seed_statistics,
) -> tuple[str | None, str]:
    """Make or migrate the schema inside the open transaction: (before, after).

    An empty database gets the current tables at once, which a test holds equal
    to what the migrations make; alembic is loaded only to migrate.

    Args:
        conn: In a transaction.
        create: Makes the tables.
        seed: Gives the planner statistics of what they will be like; None: they are made as the
            tables grow.
    """
    before = version(conn)
    if before is None:
        create(conn, tables.metadata)
        conn.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        conn.execute(text("INSERT INTO alembic_version VALUES (:v)"), {"v": HEAD})
    elif before != HEAD:
        _migrate(conn)
    if before != HEAD and seed is not None:
        seed(conn, tables.metadata)
    if conn.execute(select(tables.secrets.c.name)).first() is None:
        row = {"name": "digest", "value": entropy.token_bytes(64)}
        conn.execute(dialects.insert_if_missing(conn, tables.secrets), row)
    return before, HEAD


def _migrate(conn: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise _too_new(version(conn)) from error


def _too_new(found: str | None) -> SchemaTooNewError:
    return SchemaTooNewError(
        f"The database has schema {found}, which this release does not know; "
        "run the release that wrote it, or a newer one"
    )


def ensure_current(found: str) -> None:
    """Raises SchemaTooNewError or SchemaTooOldError for rows that this code cannot judge."""
    if found > HEAD:
        raise _too_new(found)
    if found < HEAD:
        raise SchemaTooOldError(
            f"The database has schema {found}, of an older release. Its pages are sound; to have "
            "its rows checked, migrate it, or a copy of it, with `palimpsest migrate`"
        )


def lock(conn: Connection) -> None:
    """Wait for every other transaction that has called this, and be waited for."""
    conn.execute(
        select(tables.secrets.c.name).where(tables.secrets.c.name == "digest").with_for_update()
    )


def digest_secret(conn: Connection) -> bytes:
    value = conn.execute(
        select(tables.secrets.c.value).where(tables.secrets.c.name == "digest")
    ).scalar_one()
    return bytes(value)
