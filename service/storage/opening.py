"""The one place that chooses the backend of a database.

Backends are imported when one is chosen: a process imports one of them, and its drivers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from service.core.database_location import DatabaseLocation

if TYPE_CHECKING:
    # Commands on a database need no more than one of its backends.
    from service.core.digests import Digester
    from service.core.times import WallClock
    from service.ports.indexing import Indexer
    from service.storage.administration import Administration
    from service.storage.engine import StoreOptions
    from service.storage.prepared import Gate, PreparedDatabase
    from service.storage.store import SqlStore


async def prepare_database(
    location: DatabaseLocation, embedder: tuple[str, int] | None = None
) -> PreparedDatabase:
    """Create or migrate a database, if need be.

    Args:
        location: Where it is.
        embedder: The name and the dimension of the embedder whose vectors are stored.

    Raises:
        SchemaTooNewError: A newer release wrote it.
        StorageRefusedError: It is not as it was left, or another program's.
        Exception: It cannot be opened; `explain` says why.
    """
    if location.server is not None:
        from service.storage.postgres.store import prepare_database as prepare_on_server

        return await prepare_on_server(location, location.server, embedder)
    from service.storage.sqlite.store import prepare_database as prepare_file

    return await prepare_file(location.path, embedder)


async def open_prepared(
    prepared: PreparedDatabase,
    options: StoreOptions,
    clock: WallClock,
    *,
    indexer: Indexer | None = None,
    gates: Sequence[Gate] = (),
) -> SqlStore:
    """Open the store on a database, and start its background tasks.

    Args:
        prepared: The database.
        options: How to run.
        clock: The wall clock.
        indexer: Makes memories findable as they are written; None: they are indexed later.
        gates: Of processes that read for this one: a checkpoint closes them, too.
    """
    return await prepared.open(options, clock, indexer, gates)


async def open_store(
    location: DatabaseLocation,
    options: StoreOptions | None = None,
    clock: WallClock | None = None,
    *,
    indexer: Indexer | None = None,
) -> SqlStore:
    """`prepare_database` and `open_prepared`."""
    from service.storage.engine import StoreOptions

    prepared = await prepare_database(location)
    return await prepared.open(options or StoreOptions(), clock or prepared.clock(), indexer)


def open_to_read(
    location: DatabaseLocation, digester: Digester, clock: WallClock, readers: int
) -> AbstractAsyncContextManager[SqlStore]:
    """The storage, for a process that writes nothing; the schema must be current.

    Args:
        location: Where the database is.
        digester: Has its secret.
        clock: The wall clock.
        readers: See `StoreOptions`.
    """
    if location.server is not None:
        from service.storage.postgres.store import open_to_read as open_server

        return open_server(location.server, digester, clock, readers)
    from service.storage.sqlite.store import open_to_read as open_file

    return open_file(location.path, digester, clock, readers)


def administration(location: DatabaseLocation, *, create: bool = False) -> Administration:
    """What the command line does to a database.

    Args:
        location: Where it is.
        create: Whether it is made if there is none; a file always is.
    """
    if location.server is not None:
        from service.storage.postgres.administration import PostgresAdministration

        return PostgresAdministration(location.server, create=create)
    from service.storage.sqlite.administration import SqliteAdministration

    return SqliteAdministration(location.path)


def explain(error: BaseException) -> str | None:
    """A message with advice; None when it is no failure of a database."""
    if "service.storage.postgres.errors" in sys.modules:
        from service.storage.postgres.errors import explain as explain_server

        if text := explain_server(error):
            return text
    from service.storage.sqlite.errors import explain as explain_file

    return explain_file(error)
