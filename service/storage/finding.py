"""What the pipeline and the search ask of the storage."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, insert, select

from service.core import filters as f
from service.core.indexing import IndexDelta
from service.core.model import Document, Memory, Principal, Status
from service.core.processing import ChunkRow, Failed, Job, Processed, Work
from service.core.search import Looked, Lookup
from service.storage import chunks, document_rows, index_rows, jobs, memory_rows
from service.storage.engine import Engine
from service.storage.leases import Leases, put_off, stamp
from service.storage.sweeper import ACTOR
from service.storage.tables import embedders
from service.storage.transactions import Call

MOST_CONTENT = 4 * 1024 * 1024
"""Bytes of content that a worker takes at once: each is in memory several times over."""


class QueueStore:
    """The queue of documents; see `core.processing.Queue`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turns = jobs.Turns()
        self._leases = Leases(engine.context.clock)

    def now(self) -> int:
        return self._engine.now()

    async def claim(self, holder: str, limit: int, lease: float) -> Sequence[Work]:
        engine, now = self._engine, self._engine.now()
        if self._leases.look_due(lease):
            await self._free(now)
        stamped = stamp(now, lease)
        lanes = await engine.database.read(lambda conn: jobs.due(conn, limit, self._turns, now))
        if not lanes:
            return ()
        held, served = await engine.database.write(
            lambda conn: jobs.take(conn, lanes, holder, limit, now, stamped)
        )
        for lane in served:
            self._turns.served(lane)
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

    async def enter(self, held: Sequence[Job], status: Status) -> None:
        engine = self._engine
        calls = [
            Call(Principal(tenant, ACTOR), (list(mine.values()), status))
            for tenant, mine in jobs.by_tenant(held).items()
        ]
        await engine.mutate_all(jobs.enter_stage, calls, len(calls))
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
            await database.write(lambda conn: jobs.free(conn, lapsed, now))
            self._engine.watchers.notify((one.tenant, one.document_id) for one in lapsed)

    async def release(self, held: Sequence[Job]) -> None:
        await self._engine.database.write(lambda conn: jobs.release(conn, held))
        self._notify(held)

    async def finish(self, processed: Sequence[Processed]) -> Sequence[bool]:
        calls = [Call(Principal(one.job.tenant, ACTOR), one) for one in processed]
        weight = sum(1 + len(one.changed) for one in processed)
        return await self._engine.mutate_all(chunks.finish, calls, weight)

    async def fail(self, failed: Failed) -> bool:
        call = Call(Principal(failed.job.tenant, ACTOR), failed)
        held = bool(await self._engine.mutate(chunks.fail, call))
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


class IndexStore:
    """What searches read; see `core.search.IndexSource`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def now(self) -> int:
        return self._engine.now()

    async def embedder(self, name: str, dimension: int) -> int:
        """The number of a vector space, made if it is new."""

        def known(conn: Connection) -> int | None:
            return conn.execute(select(embedders.c.id).where(embedders.c.name == name)).scalar()

        def made(conn: Connection) -> int:
            number = known(conn)
            if number is None:
                add = insert(embedders).values(name=name, dimension=dimension)
                number = conn.execute(add.returning(embedders.c.id)).scalar_one()
            return number

        number = await self._engine.database.read(known)
        return await self._engine.database.write(made) if number is None else number

    async def unchanged(self, tenant: int, known: Mapping[str, int]) -> Mapping[str, int]:
        # Each container is asked for with one statement, which is a snapshot of its own.
        digester = self._engine.context.digester
        return await self._engine.database.read(
            lambda conn: index_rows.unchanged(conn, digester, tenant, known),
            snapshot=False,
            tenant=tenant,
        )

    async def delta(
        self, tenant: int, container: str, after: int | None, embedder: int
    ) -> IndexDelta:
        digester = self._engine.context.digester
        return await self._engine.database.read(
            lambda conn: index_rows.read_delta(conn, digester, tenant, container, after, embedder),
            tenant=tenant,
        )

    async def matching(
        self,
        tenant: int,
        container: str,
        tree: f.Filter,
        documents: Iterable[str] | None = None,
        memories: Iterable[str] | None = None,
    ) -> set[str]:
        def both(conn: Connection) -> set[str]:
            found: set[str] = set()
            if documents is None or documents:
                found |= index_rows.matching_documents(conn, tenant, container, tree, documents)
            if memories is None or memories:
                found |= index_rows.matching_memories(conn, tenant, container, tree, memories)
            return found

        return await self._engine.database.read(both, tenant=tenant)

    async def in_state(
        self,
        tenant: int,
        container: str,
        as_of: int | None,
        wall: int,
        *,
        forgotten: bool,
        history: bool,
    ) -> set[str]:
        return await self._engine.database.read(
            lambda conn: index_rows.in_state(
                conn, tenant, container, as_of, wall, forgotten=forgotten, history=history
            ),
            tenant=tenant,
        )

    async def look_up(self, who: Principal, wanted: Lookup) -> Looked:
        engine, names = self._engine, wanted.memories
        if not (names or wanted.chunks or wanted.known):
            return Looked({}, {}, {}, {})
        reads = [memory_rows.MemoryRead(who, tag, name, wanted.as_of) for tag, name in names]

        def read(conn: Connection) -> Looked:
            memories = memory_rows.read(conn, engine.context.digester, reads, engine.now())
            documents, near = _chunks(conn, who, wanted)
            return Looked(
                {memory.id: memory for memory in memories if isinstance(memory, Memory)},
                documents,
                near,
                index_rows.unchanged(conn, engine.context.digester, who.tenant, wanted.known),
            )

        # One tenant's memories at one instant are one statement, and a snapshot of its own.
        return await engine.database.read(read, snapshot=bool(wanted.chunks), tenant=who.tenant)


def _chunks(
    conn: Connection, who: Principal, wanted: Lookup
) -> tuple[dict[str, Document], dict[str, Sequence[ChunkRow]]]:
    names = dict.fromkeys(document_id for document_id, _, _ in wanted.chunks)
    read_all = document_rows.read if wanted.content else document_rows.read_bare
    found = read_all(conn, [(who, name) for name in names]) if names else []
    near: dict[str, Sequence[ChunkRow]] = {}
    for document_id, position, chunk_id in wanted.chunks:
        rows = chunks.around(conn, who.tenant, document_id, position, wanted.reach)
        if any(row.id == chunk_id and row.position == position for row in rows):
            near[chunk_id] = rows
    return {one.id: one for one in found if isinstance(one, Document)}, near
