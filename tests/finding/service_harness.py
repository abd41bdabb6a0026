"""A running service that processes, a client of it, and holds on its stages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.filter_pb2 import Condition, Filter
from service.app import ServiceOptions
from service.core.model import Status
from service.indexing_runtime import IndexingOptions
from service.ports.processing import Job, Processed, Work
from service.storage.engine import StoreOptions
from service.storage.processing.store import QueueStore
from tests.client import Client, connected
from tests.inprocess import ManualClock, Service, running_service
from tests.waiting import HANG_SECONDS, until

STAGES = (Status.EXTRACTING, Status.CHUNKING, Status.EMBEDDING, Status.INDEXING)


def where(key: str, value: str) -> Filter:
    """True where the metadata has this string."""
    return Filter(condition=Condition(key=key, equals_string=value))


def without_room(block_bytes: int = 1, **options: Any) -> dict[str, Any]:
    """For `running_service`: no index fits into memory, so that every search reads its
    containers in blocks of so many bytes, one item at least; with these `IndexingOptions`."""
    made = replace(indexing(**options), store=StoreOptions(index_block_bytes=block_bytes))
    return {"index_memory": 1, "options": made}


def indexing(**options: Any) -> ServiceOptions:
    """A service with these `IndexingOptions`."""
    return ServiceOptions(indexing=IndexingOptions(**options))


class Stages:
    """Holds every document that comes to one stage there, until it lets go."""

    def __init__(self, queue: QueueStore) -> None:
        self.stage: Status | None = None
        self.came = asyncio.Event()
        self.go_on = asyncio.Event()
        self.seen: list[tuple[str, Status]] = []
        self.finished: list[tuple[str, bool]] = []
        claim, enter, finish = queue.claim, queue.enter, queue.finish

        async def held_claim(holder: str, limit: int, lease: float) -> Sequence[Work]:
            works = await claim(holder, limit, lease)
            await self._at(Status.EXTRACTING, [work.job for work in works])
            return works

        async def held_enter(held: Sequence[Job], status: Status) -> None:
            await enter(held, status)
            if status is not Status.INDEXING:  # Written beside the end of processing.
                await self._at(status, held)

        async def noted_finish(processed: Sequence[Processed]) -> Sequence[bool]:
            await self._at(Status.INDEXING, [one.job for one in processed])
            held = await finish(processed)
            names = [one.job.document_id for one in processed]
            self.finished.extend(zip(names, held, strict=True))
            return held

        queue.claim = held_claim  # type: ignore[method-assign]
        queue.enter = held_enter  # type: ignore[method-assign]
        queue.finish = noted_finish  # type: ignore[method-assign]

    async def _at(self, status: Status, jobs: Sequence[Job]) -> None:
        self.seen.extend((job.document_id, status) for job in jobs)
        if jobs and status is self.stage:
            self.came.set()
            await self.go_on.wait()

    def hold(self, stage: Status) -> None:
        self.stage = stage
        self.came.clear()
        self.go_on.clear()

    async def reached(self) -> None:
        async with asyncio.timeout(HANG_SECONDS):
            await self.came.wait()

    def let_go(self) -> None:
        self.stage = None
        self.go_on.set()


@dataclass(frozen=True)
class ServiceHarness:
    """The service, a client that may do everything, and shorthands."""

    service: Service
    client: Client
    stages: Stages

    async def status(self, name: str) -> int:
        return (await self.client.get(name)).status

    async def settled(self, name: str) -> d.Document:
        """The document once it is DONE or FAILED."""
        final = (d.DOCUMENT_STATUS_DONE, d.DOCUMENT_STATUS_FAILED)

        async def done() -> bool:
            return (await self.client.get(name)).status in final

        await until(done)
        return await self.client.get(name)

    async def idle(self) -> None:
        """Wait until no document is waiting or at work."""
        await until(lambda: not self.rows("SELECT 1 FROM jobs LIMIT 1"))

    async def search(self, query: str, **fields: Any) -> list[d.DocumentHit]:
        request = d.SearchDocumentsRequest(query=query, **fields)
        return list((await self.client.documents.SearchDocuments(request)).hits)

    async def texts(self, query: str, **fields: Any) -> list[str]:
        """The texts of the chunks found."""
        hits = await self.search(query, **fields)
        return [chunk.chunk.text for hit in hits for chunk in hit.chunks]

    async def memories(self, query: str, **fields: Any) -> list[m.SearchHit]:
        request = m.SearchMemoriesRequest(query=query, **fields)
        return list((await self.client.memories.SearchMemories(request)).hits)

    async def contents(self, query: str, **fields: Any) -> list[str]:
        """The contents of the memories found."""
        return [hit.memory.content for hit in await self.memories(query, **fields)]

    def rows(self, sql: str, **values: object) -> list[Any]:
        """What the database says, by a connection of its own."""
        return self.service.backend.rows(sql, **values)

    def chunks(self, document_id: str) -> list[Any]:
        """Rows of (position, chunk_id, text, vector, embedder)."""
        return self.rows(
            "SELECT position, chunk_id, text, vector, embedder FROM chunks"
            " WHERE document_id = :name ORDER BY position",
            name=document_id,
        )

    def changes(self, document_id: str) -> list[str]:
        """The kinds of a document's changes, in order."""
        rows = self.rows(
            "SELECT DISTINCT revision, kind FROM changes WHERE entity_id = :name ORDER BY revision",
            name=document_id,
        )
        return [row.kind for row in rows]

    def check(self) -> list[str]:
        return self.service.backend.check()


@asynccontextmanager
async def running_harness(
    directory: Path, clock: ManualClock, *, tenant: str = "test", **options: Any
) -> AsyncIterator[ServiceHarness]:
    """A service on the database in `directory`; with two workers, unless told otherwise."""
    async with running_service(directory, clock, **{"workers": 2, **options}) as service:
        key = service.create_key(tenant=tenant)
        async with connected(service.address, key) as client:
            harness = ServiceHarness(service, client, Stages(service.store.queue))
            try:
                yield harness
            finally:
                harness.stages.let_go()
