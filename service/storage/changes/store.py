"""Changes, as the transport sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from service.core import model as m
from service.runtime.coalescing import Coalescer
from service.storage.changes import lists
from service.storage.engine import MutationEngine, StoreOptions
from service.storage.watching import Watcher, Watchers


class ChangeStore:
    def __init__(self, engine: MutationEngine, options: StoreOptions) -> None:
        self._engine = engine
        self._latest: Coalescer[int, int] = Coalescer(self._read_latest, options.max_waiting)

    @property
    def idle(self) -> bool:
        """Whether no read of a revision waits or runs."""
        return self._latest.idle

    async def list(self, principal: m.Principal, query: m.ChangeQuery) -> m.ChangePage:
        digester = self._engine.context.digester
        return await self._engine.database.read(
            lambda conn: lists.list_changes(conn, digester, principal, query),
            tenant=principal.tenant,
        )

    @contextmanager
    def following(self, principal: m.Principal) -> Iterator[TenantRevision]:
        watchers = self._engine.watchers
        with watchers.watching(principal.tenant) as watcher:
            yield TenantRevision(self._latest, principal.tenant, watcher, watchers)

    async def _read_latest(self, tenants: Sequence[int]) -> Sequence[int]:
        def read(conn: Connection) -> Sequence[int]:
            latest = {tenant: lists.latest_revision(conn, tenant) for tenant in set(tenants)}
            return [latest[tenant] for tenant in tenants]

        return await self._engine.database.read(read, snapshot=False)


class TenantRevision:
    """The last revision of one tenant; see `ports.store.TenantRevision`.

    However many callers follow a tenant, its row is read once for all who wait at the time.
    """

    def __init__(
        self, latest: Coalescer[int, int], tenant: int, watcher: Watcher, watchers: Watchers
    ) -> None:
        self._latest = latest
        self._tenant = tenant
        self._watcher = watcher
        self._watchers = watchers

    @property
    def followers(self) -> int:
        return self._watchers.count(self._tenant)

    async def latest(self) -> int:
        return await self._latest.submit(self._tenant, group=self._tenant)

    async def wait_beyond(self, revision: int, seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while await self.latest() <= revision and (end is None or loop.time() < end):
            await self._watcher.changed()
