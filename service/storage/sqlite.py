"""Opening the storage on the embedded database."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from service.core.digests import Digester
from service.core.times import MonotonicClock
from service.storage import keys, schema, sweeper
from service.storage.embedded import SqliteDatabase, create_file, open_sync, transact
from service.storage.engine import StoreOptions
from service.storage.key_epoch import KeyEpoch
from service.storage.keyring import Keyring
from service.storage.store import SqlStore

__all__ = ["SqliteStore", "StoreOptions", "open_store"]

log = logging.getLogger(__name__)


class SqliteStore(SqlStore):
    """The storage on one file."""

    path: Path
    epoch: KeyEpoch

    async def ensure_first_key(self) -> str | None:
        """A key for the default tenant, if there is no key at all."""
        now = self.now()
        secret = await self.engine.database.write(
            lambda conn: (
                None
                if keys.any_key(conn)
                else keys.create(
                    conn,
                    tenant=schema.DEFAULT_TENANT,
                    label="first key",
                    containers=(),
                    read_only=False,
                    expires_at=None,
                    now=now,
                )[1]
            )
        )
        if secret is not None:
            self.epoch.advance()
        return secret

    async def ensure_tenant(self, name: str) -> int:
        """The number of a tenant, made if it is new (for running without keys)."""
        now = self.now()
        return await self.engine.database.write(lambda conn: keys.ensure_tenant(conn, name, now))

    async def close(self) -> None:
        await super().close()
        self.epoch.close()

    async def sweep(self) -> int:
        """Record the expiries that are due; the answer is how many."""
        engine = self.engine
        now = engine.now()
        recorded = 0
        due = await engine.database.read(lambda conn: sweeper.due(conn, now))
        for tenant, memory_ids in due.items():
            recorded += await engine.mutate(sweeper.expire, sweeper.sweep_call(tenant, memory_ids))
        stale = await engine.database.read(lambda conn: sweeper.stale_requests(conn, now))
        if stale:
            await engine.database.write(lambda conn: sweeper.forget_requests(conn, stale, now))
        return recorded

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self.options.sweep_interval)
            try:
                while await self.sweep() >= sweeper.STEP:
                    pass
            except Exception:
                log.exception("sweeping failed; it will be tried again")

    async def _checkpoint_forever(self) -> None:
        while True:
            await asyncio.sleep(self.options.checkpoint_interval)
            if not self.engine.deleted:
                continue
            self.engine.deleted = False
            try:
                done = await self.engine.database.checkpoint()
            except Exception:
                log.exception("the checkpoint failed; it will be tried again")
                done = False
            self.engine.deleted = self.engine.deleted or not done


async def open_store(
    path: Path, options: StoreOptions | None = None, clock: MonotonicClock | None = None
) -> SqliteStore:
    """Open the database at `path`, made or migrated if need be, and its upkeep.

    Raises:
        SchemaTooNewError: a newer release wrote it.
        sqlite3.DatabaseError, OSError: it is no database or cannot be opened.
    """
    options = options or StoreOptions()
    clock = clock or MonotonicClock()
    secret = await asyncio.to_thread(_prepare, path, clock)
    database = await SqliteDatabase.open(path, options.readers)
    epoch = KeyEpoch(path)
    keyring = Keyring(database, epoch.current, clock.now, options.max_waiting)
    store = SqliteStore(database, clock, Digester(secret), keyring, options)
    store.path = path
    store.epoch = epoch
    store.keep(asyncio.create_task(store._sweep_forever()))
    store.keep(asyncio.create_task(store._checkpoint_forever()))
    return store


def _prepare(path: Path, clock: MonotonicClock) -> bytes:
    create_file(path)
    with open_sync(path) as conn:
        transact(conn, schema.bring_up)
        schema.started_clock(conn, clock)
        return schema.digest_secret(conn)
