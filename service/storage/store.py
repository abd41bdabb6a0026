"""The storage as a whole, over one database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from time import perf_counter
from typing import Any

from sqlalchemy import Connection

from service.core.digests import Digester
from service.core.errors import PalimpsestError
from service.core.times import SECOND, WallClock
from service.ports.indexing import Indexer, NullIndexer
from service.ports.metrics import Gauge
from service.storage import change_log, schema, sweeper
from service.storage.backend import KEYS, Database, KeyEpoch, Maintenance
from service.storage.changes.store import ChangeStore
from service.storage.containers.store import ContainerStore
from service.storage.documents.store import DocumentStore
from service.storage.engine import MutationEngine, StoreOptions
from service.storage.index.reindexing import ReindexStore
from service.storage.index.store import IndexStore
from service.storage.keys import operations as keys
from service.storage.keys.keyring import MAX_AGE_SECONDS, Keyring
from service.storage.memories.store import MemoryStore
from service.storage.processing.store import QueueStore
from service.storage.statistics import TaskStatistics
from service.storage.transactions import Context
from service.storage.webhooks.store import WebhookStore

log = logging.getLogger(__name__)

TRIM_SECONDS = 60.0
"""Between two checks for changes that are kept no longer."""

PAUSE_SECONDS = 0.001
"""Between two steps through the change log, so that other calls get their turn."""


class SqlStore:
    """All of the storage over one database; closes what it opened.

    Args:
        database: Where transactions run.
        clock: The wall clock.
        digester: Has the secret of this database's digests.
        options: How to run.
        maintenance: Is told of commits and deletions.
        epoch: Tells other processes of changed keys.
        indexer: Makes memories findable as they are written; None: they are indexed later.
        read_only: Another process writes.
        key_trust: Seconds for which a key that was found is trusted, see `Keyring`.
    """

    def __init__(
        self,
        database: Database,
        clock: WallClock,
        digester: Digester,
        options: StoreOptions,
        *,
        maintenance: Maintenance,
        epoch: KeyEpoch,
        indexer: Indexer | None = None,
        read_only: bool = False,
        key_trust: float = MAX_AGE_SECONDS,
    ) -> None:
        self.digester = digester
        context = Context(clock, digester, database.pause)
        self.engine = MutationEngine(
            database,
            context,
            options,
            maintenance,
            indexer or NullIndexer(),
            read_only=read_only,
        )
        self.options = options
        self.keys = Keyring(database, epoch.current, clock.now, options.max_waiting, key_trust)
        self.documents = DocumentStore(self.engine, options)
        self.memories = MemoryStore(self.engine, options)
        self.containers = ContainerStore(self.engine)
        self.changes = ChangeStore(self.engine, options)
        self.queue = QueueStore(self.engine)
        self.index = IndexStore(self.engine, options)
        self.reindexing = ReindexStore(self.engine)
        self.webhooks = WebhookStore(self.engine)
        self.sweep_statistics = TaskStatistics(clock.now)
        self.expired = 0
        """Expiries of memories that were recorded."""
        self._epoch = epoch
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def idle(self) -> bool:
        """Whether no caller's work waits or runs, and no caller watches."""
        reads_idle = self.documents.idle and self.memories.idle and self.changes.idle
        return self.engine.idle and reads_idle

    @property
    def task_statistics(self) -> Mapping[str, TaskStatistics]:
        """What the background tasks did, by their names."""
        return {"sweep": self.sweep_statistics}

    def now(self) -> int:
        return self.engine.now()

    async def sizes(self) -> Sequence[Gauge]:
        """How large the database is, as far as the backend knows.

        Raises:
            PalimpsestError: STORAGE_UNAVAILABLE.
        """
        return ()

    def readers_paused(self) -> AbstractAsyncContextManager[None]:
        """No read runs while the block runs, where a backend needs that."""
        return nullcontext()

    def start(self) -> None:
        """Start the background tasks; they end with the store."""
        self._keep(self._sweep_forever())
        if self.options.change_retention is not None:
            self._keep(self._trim_forever(self.options.change_retention))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.engine.close()
        self._epoch.close()

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
            schema.lock(conn)
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
            make, lambda secret: {KEYS: 1} if secret is not None else {}
        )
        if secret is not None:
            self._epoch.advance()
        return secret

    async def ensure_tenant(self, name: str) -> int:
        """The number of a tenant, created if it is new (for running without keys)."""
        now = self.now()
        known = await self.engine.database.read(lambda conn: keys.tenant_named(conn, name))
        if known is not None:
            return known
        return await self.engine.database.write(lambda conn: keys.ensure_tenant(conn, name, now))

    async def sweep(self) -> int:
        """Record the expiries that are due; the answer is how many."""
        engine = self.engine
        now = engine.now()
        recorded = 0
        due = await engine.database.read(lambda conn: sweeper.due(conn, now))
        for tenant, memory_ids in due.items():
            recorded += await engine.mutate(sweeper.expire, sweeper.expiry(tenant, memory_ids))
        stale = await engine.database.read(lambda conn: sweeper.stale_requests(conn, now))
        if stale:
            await engine.database.write(
                lambda conn: sweeper.forget_requests(conn, stale, now), frees=True
            )
        await self.redact()
        self.expired += recorded
        return recorded

    async def redact(self) -> None:
        """Take the tags of deleted containers out of the change log."""
        engine = self.engine
        if not await engine.database.read(change_log.unredacted):
            return

        def redact(conn: Connection) -> bool:
            redacted = change_log.redact(conn, self.digester)
            if redacted:
                engine.maintenance.on_erased(conn)
            return redacted

        while await engine.database.write(redact, frees=True):
            engine.maintenance.on_commit(self.now(), erased=True)
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
            began, swept = perf_counter(), False
            try:
                while await self.sweep() >= sweeper.STEP:
                    pass
                swept = True
            except PalimpsestError as error:
                log.warning("sweeping waits: %s", error)
            except Exception:
                log.exception("sweeping failed; it will be tried again")
            self.sweep_statistics.ended(perf_counter() - began, succeeded=swept)
