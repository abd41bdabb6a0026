"""The queue of documents, as the pipeline sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

from service.core.model import Principal, Status
from service.ports.processing import Failed, Job, Processed, Work
from service.storage.documents import chunks
from service.storage.engine import MutationEngine
from service.storage.processing import jobs, turns
from service.storage.processing.leases import Leases, put_off, stamp
from service.storage.processing.turns import Partition
from service.storage.transactions import SYSTEM_KEY_ID, Mutation

MOST_CONTENT = 4 * 1024 * 1024
"""Bytes of content that a worker takes at once: each is in memory several times over."""


class QueueStore:
    """The queue of documents; see `ports.processing.Queue`."""

    def __init__(self, engine: MutationEngine) -> None:
        self._engine = engine
        self._cursor = turns.RoundRobinCursor()
        self._leases = Leases(engine.context.clock)
        self.lapsed = 0
        """Leases that this server has seen to lapse: their workers died, or hung."""

    def now(self) -> int:
        return self._engine.now()

    async def claim(self, holder: str, limit: int, lease: float) -> Sequence[Work]:
        engine, now = self._engine, self._engine.now()
        if self._leases.check_due(lease):
            await self._free(now)
        stamped = stamp(now, lease)
        partitions = await engine.database.read(
            lambda conn: turns.due(conn, limit, self._cursor, now)
        )
        if not partitions:
            return ()
        overdue = self._cursor.overdue(partitions)

        def take(conn: Connection) -> tuple[list[Partition], list[Job], list[Partition]]:
            locked = turns.lock(conn, partitions, overdue)
            return locked, *jobs.take(conn, locked, holder, limit, now, stamped)

        locked, held, served = await engine.database.write(take)
        self._cursor.claimed(partitions, locked, served)
        if not held:
            return ()
        self._leases.renewed(held, stamped)
        self._notify(held)
        works, rest = await engine.database.read(
            lambda conn: jobs.load_work(conn, held, MOST_CONTENT)
        )
        if rest:
            await self.release(rest)
        return works

    async def depth(self) -> jobs.Depth:
        """How many documents wait, and how many are in work; of all tenants."""
        return await self._engine.database.read(jobs.depth)

    async def enter(self, held: Sequence[Job], status: Status) -> None:
        engine = self._engine
        mutations = [
            Mutation(Principal(tenant, SYSTEM_KEY_ID), (list(mine.values()), status))
            for tenant, mine in jobs.by_tenant(held).items()
        ]
        await engine.mutate_all(jobs.enter_stage, mutations, len(mutations))
        self._notify(held)

    async def renew(self, held: Sequence[Job], lease: float) -> None:
        stamped = stamp(self._engine.now(), lease)
        await self._engine.database.write(lambda conn: jobs.renew(conn, held, stamped))
        self._leases.renewed(held, stamped)

    async def _free(self, now: int) -> None:
        """Make due what dead workers hold, and what a wrong clock has put off."""
        database = self._engine.database
        found = await database.read(lambda conn: put_off(conn, now), snapshot=False)
        lapsed = self._leases.lapsed(found)
        if lapsed:
            self.lapsed += sum(one.holder is not None for one in lapsed)
            await database.write(lambda conn: jobs.free(conn, lapsed, now))
            self._engine.watchers.notify((one.tenant, one.document_id) for one in lapsed)

    async def release(self, held: Sequence[Job]) -> None:
        await self._engine.database.write(lambda conn: jobs.release(conn, held))
        self._notify(held)

    async def finish(self, processed: Sequence[Processed]) -> Sequence[bool]:
        mutations = [Mutation(Principal(one.job.tenant, SYSTEM_KEY_ID), one) for one in processed]
        weight = sum(1 + len(one.changed) for one in processed)
        return await self._engine.mutate_all(chunks.finish, mutations, weight)

    async def fail(self, failed: Failed) -> bool:
        mutation = Mutation(Principal(failed.job.tenant, SYSTEM_KEY_ID), failed)
        held = bool(await self._engine.mutate(chunks.fail, mutation))
        self._notify([failed.job])
        return held

    async def arrival(self, seconds: float) -> None:
        queued = self._engine.queued
        try:
            async with asyncio.timeout(seconds):
                await queued.wait()
        except TimeoutError:
            return
        queued.clear()

    def _notify(self, held: Sequence[Job]) -> None:
        self._engine.watchers.notify((job.tenant, job.document_id) for job in held)
