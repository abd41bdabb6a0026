"""Opening the storage on the embedded database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from service.core.digests import Digester
from service.core.errors import PalimpsestError
from service.core.times import SECOND, WallClock
from service.storage import change_log, schema, sweeper
from service.storage.engine import StoreOptions
from service.storage.keys import operations as keys
from service.storage.keys.keyring import Keyring
from service.storage.sqlite import high_water, opening, scrubbing
from service.storage.sqlite.database import SqliteDatabase
from service.storage.sqlite.disk_reserve import given_up
from service.storage.sqlite.high_water import HighWaterMark
from service.storage.sqlite.key_epoch import KeyEpoch
from service.storage.sqlite.room import lacks_room
from service.storage.store import SqlStore

__all__ = ["SqliteStore", "StoreOptions", "open_store", "open_to_read"]

log = logging.getLogger(__name__)

SCRUB_LOOK_SECONDS = 1.0
"""Between two looks whether a scrub is due."""

TRIM_SECONDS = 60.0
"""Between two looks for changes that are kept no longer."""

PAUSE_SECONDS = 0.001
"""Between two steps through the change log, for everybody else's calls."""


class SqliteStore(SqlStore):
    """The storage on one file."""

    path: Path
    file: SqliteDatabase
    epoch: KeyEpoch
    _told_of_scrubbing = False

    async def has_keys(self) -> bool:
        """Whether any key was ever created."""
        return await self.engine.database.read(keys.any_key)

    async def ensure_first_key(self, keep: Callable[[str], None] | None = None) -> str | None:
        """A key for the default tenant, if there is no key at all.

        Args:
            keep: Called with it before it is valid: if that fails, there is none.
        """
        now = self.now()
        if await self.has_keys():
            return None

        def make(conn: Connection) -> str | None:
            if keys.any_key(conn):
                return None
            _, secret = keys.create(
                conn,
                tenant=schema.DEFAULT_TENANT,
                label="first key",
                containers=(),
                read_only=False,
                expires_at=None,
                now=now,
            )
            if keep is not None:
                keep(secret)
            return secret

        secret = await self.engine.database.write(
            make, lambda secret: {high_water.KEYS: 1} if secret is not None else {}
        )
        if secret is not None:
            self.epoch.advance()
        return secret

    async def ensure_tenant(self, name: str) -> int:
        """The number of a tenant, made if it is new (for running without keys)."""
        now = self.now()
        known = await self.engine.database.read(lambda conn: keys.tenant_named(conn, name))
        if known is not None:
            return known
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
            await engine.database.write(
                lambda conn: sweeper.forget_requests(conn, stale, now), frees=True
            )
        await self.redact()
        return recorded

    async def redact(self) -> None:
        """Take the tags of deleted containers out of the change log."""
        engine = self.engine
        if not await engine.database.read(change_log.unredacted):
            return
        while await engine.database.write(
            lambda conn: change_log.redact(conn, self.digester), frees=True
        ):
            engine.deleted = True
            engine.scrubs.wrote(self.now(), erased=True)
            await asyncio.sleep(PAUSE_SECONDS)

    async def trim_changes(self) -> None:
        """Remove changes that are older than the retention."""
        if self.options.change_retention is None:
            return
        database = self.engine.database
        before = self.now() - round(self.options.change_retention * SECOND)
        for tenant in await database.read(lambda conn: change_log.outdated(conn, before)):
            trim = partial(change_log.trim, tenant=tenant, before=before)
            more = True
            while more:
                more = await database.write(trim, frees=True)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _trim_forever(self, retention: float) -> None:
        while True:
            await asyncio.sleep(min(retention, TRIM_SECONDS))
            try:
                await self.trim_changes()
            except PalimpsestError as error:
                log.warning("old changes are removed later: %s", error)
            except Exception:
                log.exception("old changes are not removed; it will be tried again")

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self.options.sweep_interval)
            try:
                while await self.sweep() >= sweeper.STEP:
                    pass
            except PalimpsestError as error:
                log.warning("sweeping waits: %s", error)
            except Exception:
                log.exception("sweeping failed; it will be tried again")

    async def _checkpoint_forever(self) -> None:
        while True:
            await asyncio.sleep(self.options.checkpoint_interval)
            self.file.room.renew()
            if not self.engine.deleted:
                continue
            self.engine.deleted = False
            try:
                done = await self.engine.database.checkpoint()
            except PalimpsestError as error:
                log.warning("the checkpoint waits: %s", error)
                done = False
            except Exception:
                log.exception("the checkpoint failed; it will be tried again")
                done = False
            self.engine.deleted = self.engine.deleted or not done

    async def scrub_if_due(self) -> bool:
        """Rewrite the file without what deletion left in it, if it is time; True if done."""
        schedule, now = self.engine.scrubs, self.engine.now()
        size = self.path.stat().st_size
        if not schedule.due(now, size):
            if schedule.unscheduled(size) and not self._told_of_scrubbing:
                self._told_of_scrubbing = True
                log.warning(
                    "the database is too large to be scrubbed at any time: set scrub_window, "
                    "or run `palimpsest scrub` to remove the last traces of what was deleted"
                )
            return False
        await self.redact()
        schedule.begin()
        started = time.monotonic()
        try:
            emptied = await self.file.scrub()
        except BaseException:
            schedule.failed(now)
            self.engine.deleted = True
            raise
        schedule.end(self.engine.now(), time.monotonic() - started)
        self.engine.deleted = self.engine.deleted or not emptied
        return True

    async def _scrub_forever(self) -> None:
        while True:
            await asyncio.sleep(min(self.options.scrub_interval, SCRUB_LOOK_SECONDS))
            try:
                await self.scrub_if_due()
            except PalimpsestError as error:
                log.warning("scrubbing waits: %s", error)
            except Exception:
                log.exception("scrubbing failed; it will be tried again")


class SqliteReader(SqlStore):
    """The storage on one file that another process writes."""

    file: SqliteDatabase


async def open_store(
    path: Path, options: StoreOptions | None = None, clock: WallClock | None = None
) -> SqliteStore:
    """Open the database at `path`, made or migrated if need be, and its upkeep.

    Raises:
        SchemaTooNewError: a newer release wrote it.
        StorageRefusedError: a database has been here and is gone, or lacks changes.
        sqlite3.DatabaseError, OSError: it is no database or cannot be opened.
    """
    options = options or StoreOptions()
    clock = clock or WallClock()
    secret, unscrubbed, mark = await asyncio.to_thread(_prepare, path)
    database = await SqliteDatabase.open(
        path, options.readers, reserve=options.disk_reserve, mark=mark
    )
    epoch = KeyEpoch(path)
    keyring = Keyring(database, epoch.current, clock.now, options.max_waiting)
    store = SqliteStore(database, clock, Digester(secret), keyring, options)
    store.path = path
    store.file = database
    store.epoch = epoch
    if unscrubbed:
        store.engine.scrubs.wrote(store.now(), erased=True)
    store.keep(asyncio.create_task(store._sweep_forever()))
    store.keep(asyncio.create_task(store._checkpoint_forever()))
    store.keep(asyncio.create_task(store._scrub_forever()))
    if options.change_retention is not None:
        store.keep(asyncio.create_task(store._trim_forever(options.change_retention)))
    return store


@asynccontextmanager
async def open_to_read(
    path: Path, digester: Digester, clock: WallClock, readers: int
) -> AsyncIterator[SqliteReader]:
    """The storage, for a process that writes nothing; the schema must be current."""
    options = StoreOptions(readers=readers)
    database = await SqliteDatabase.open(path, readers, read_only=True)
    # Who asks has been let in where the keys are.
    keyring = Keyring(database, lambda: None, clock.now, options.max_waiting)
    store = SqliteReader(database, clock, digester, keyring, options, read_only=True)
    store.file = database
    try:
        yield store
    finally:
        await store.close()


def _prepare(path: Path) -> tuple[bytes, bool, HighWaterMark]:
    """The secret of digests, whether deletions of an earlier run wait for a scrub, the mark."""
    try:
        return _prepared(path)
    except Exception as error:
        if not lacks_room(error):
            raise
    # The log and its index need some room, too.
    with given_up(path):
        return _prepared(path)


def _prepared(path: Path) -> tuple[bytes, bool, HighWaterMark]:
    with opening.opened(path) as opened:
        secret, unscrubbed = schema.digest_secret(opened.conn), scrubbing.marked(opened.conn)
        return secret, unscrubbed, opened.mark
