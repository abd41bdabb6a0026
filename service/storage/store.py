"""The storage as the transport sees it: batches behind single calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Final, cast

from sqlalchemy import Connection

from service.core import memories as rules
from service.core import model as m
from service.core.coalescing import SHARED_BATCH, Coalescer
from service.core.digests import Digester
from service.core.errors import PalimpsestError, Reason, document_not_found
from service.core.store import Page
from service.core.times import WallClock
from service.storage import (
    bulk_deletes,
    containers,
    document_lists,
    document_rows,
    documents,
    memories,
    memory_batches,
    memory_rows,
    purges,
)
from service.storage.deletions import run_delete_ids, run_purge
from service.storage.engine import Database, Engine, StoreOptions
from service.storage.finding import IndexStore, QueueStore
from service.storage.keyring import Keyring
from service.storage.lists import tenant_revision
from service.storage.reindexing import ReindexStore
from service.storage.transactions import Call, Context, TenantRead, recalled

DOCUMENTS_AT_ONCE: Final = 64
"""Single documents read in one statement: each may be a mebibyte, several times over."""

BATCH_STEP: Final = SHARED_BATCH
"""Documents of one batch that are written at once while other tenants write, too."""


class DocumentStore:
    def __init__(self, engine: Engine, options: StoreOptions) -> None:
        self._engine = engine
        self._gets: Coalescer[tuple[m.Principal, str], m.Document] = Coalescer(
            self._read, options.max_waiting, DOCUMENTS_AT_ONCE
        )

    @property
    def idle(self) -> bool:
        """Whether no single read waits or runs."""
        return self._gets.idle

    async def _read(
        self, wanted: Sequence[tuple[m.Principal, str]]
    ) -> list[m.Document | PalimpsestError]:
        return await self._engine.database.read(
            lambda conn: document_rows.read(conn, wanted), snapshot=False
        )

    async def upsert(
        self, who: m.Principal, write: m.DocumentWrite, request: m.RequestRef | None
    ) -> m.DocumentReceipt:
        receipt: m.DocumentReceipt = await self._engine.mutate(
            documents.upsert, Call(who, write, request)
        )
        return receipt

    async def batch_upsert(
        self, who: m.Principal, writes: Sequence[m.DocumentWrite], request: m.RequestRef | None
    ) -> m.BatchReceipt:
        step = documents.BatchStep(writes, len(writes))
        while True:
            # At once, unless other tenants would have to wait for it.
            left = len(writes) - len(step.before)
            count = min(BATCH_STEP, left) if self._engine.shared else left
            step = replace(step, at_most=count)
            outcome: documents.BatchStep | m.BatchReceipt
            outcome = await self._engine.mutate(
                documents.batch_upsert, Call(who, step, request), count
            )
            if isinstance(outcome, m.BatchReceipt):
                return outcome
            step = outcome

    async def update(
        self, who: m.Principal, patch: m.DocumentPatch, request: m.RequestRef | None
    ) -> m.DocumentReceipt:
        receipt: m.DocumentReceipt = await self._engine.mutate(
            documents.update_documents, Call(who, patch, request)
        )
        return receipt

    async def append(
        self, who: m.Principal, append: m.MessagesAppend, request: m.RequestRef | None
    ) -> m.AppendReceipt:
        receipt: m.AppendReceipt = await self._engine.mutate(
            documents.append_messages, Call(who, append, request)
        )
        return receipt

    async def delete(
        self, who: m.Principal, delete: m.DocumentDelete, request: m.RequestRef | None
    ) -> m.DeleteReceipt:
        receipt: m.DeleteReceipt = await self._engine.mutate(
            documents.delete_documents, Call(who, delete, request), frees=True
        )
        return receipt

    async def delete_ids(
        self,
        who: m.Principal,
        ids: Sequence[str],
        request: m.RequestRef | None,
        *,
        validate_only: bool,
    ) -> m.BulkDeleteReceipt:
        if validate_only:
            return await self._engine.database.read(
                lambda conn: bulk_deletes.preview_ids(conn, who, ids), tenant=who.tenant
            )
        return await run_delete_ids(self._engine, who, ids, request)

    async def delete_containers(
        self,
        who: m.Principal,
        containers: Sequence[str],
        request: m.RequestRef | None,
        *,
        validate_only: bool,
        budget: float | None,
    ) -> m.BulkDeleteReceipt:
        purge = purges.Purge(tuple(containers), whole=False)
        receipt = await run_purge(self._engine, who, purge, request, validate_only, budget)
        return cast(m.BulkDeleteReceipt, receipt)

    async def get(self, who: m.Principal, name: str) -> m.Document:
        return await self._gets.submit((who, name), group=who.tenant)

    async def list(
        self, who: m.Principal, query: m.DocumentQuery, page: m.PageRequest
    ) -> Page[m.Document]:
        return await self._engine.database.read(
            lambda conn: document_lists.list_documents(conn, who, query, page),
            tenant=who.tenant,
        )

    async def watch(self, who: m.Principal, name: str) -> AsyncIterator[m.Document | str]:
        document = await self.get(who, name)
        with self._engine.watchers.watching(who.tenant, document.id) as watcher:
            seen: m.Document | None = None
            while True:
                try:
                    document = replace(await self.get(who, document.id), content=None)
                except PalimpsestError as error:
                    if error.reason is not document_not_found().reason:
                        raise
                    yield document.id
                    return
                if document != seen:
                    for passed in _passed(seen, document):
                        yield passed
                    yield document
                    if document.status in (m.Status.DONE, m.Status.FAILED):
                        return
                seen = document
                await watcher.changed()


def _passed(seen: m.Document | None, now: m.Document) -> Iterator[m.Document]:
    """The stages a document went through between two looks: many last less than a look."""
    if seen is None or now.status is m.Status.FAILED:
        return
    first = seen.status + 1 if seen.revision == now.revision else m.Status.QUEUED
    for status in range(first, now.status):
        yield replace(now, status=m.Status(status))


class MemoryStore:
    def __init__(self, engine: Engine, options: StoreOptions) -> None:
        self._engine = engine
        self._gets: Coalescer[memory_rows.MemoryRead, m.Memory] = Coalescer(
            self._read, options.max_waiting
        )

    @property
    def idle(self) -> bool:
        """Whether no single read waits or runs."""
        return self._gets.idle

    async def _read(
        self, wanted: Sequence[memory_rows.MemoryRead]
    ) -> list[m.Memory | PalimpsestError]:
        engine = self._engine
        return await engine.database.read(
            lambda conn: memory_rows.read(conn, engine.context.digester, wanted, engine.now()),
            snapshot=False,
        )

    async def create(
        self, who: m.Principal, create: m.MemoryCreate, request: m.RequestRef | None
    ) -> m.MemoriesReceipt:
        receipt: m.MemoriesReceipt = await self._engine.mutate_indexed(
            memories.create,
            Call(who, create, request),
            [new.content for new in create.memories],
            [rules.date_of(new.temporal) for new in create.memories],
        )
        return receipt

    async def update(
        self, who: m.Principal, update: m.MemoryUpdate, request: m.RequestRef | None
    ) -> m.UpdatedMemory:
        outcome = await self._engine.mutate_indexed(
            memories.update_memories,
            Call(who, update, request),
            [update.content],
            [rules.date_of(update.temporal)],
        )
        if isinstance(outcome, m.UpdatedMemory):
            return outcome
        try:
            memory = await self.get(who, outcome.container, outcome.id, None)
        except PalimpsestError as error:
            if error.reason is not Reason.MEMORY_NOT_FOUND:
                raise
            return m.UpdatedMemory(outcome, "")
        return m.UpdatedMemory(outcome, memory.content)

    async def forget(
        self, who: m.Principal, forget: m.MemoryForget, request: m.RequestRef | None
    ) -> m.MemoryReceipt:
        receipt: m.MemoryReceipt = await self._engine.mutate(
            memories.forget, Call(who, forget, request)
        )
        return receipt

    async def restore(
        self, who: m.Principal, restore: m.MemoryRestore, request: m.RequestRef | None
    ) -> m.MemoryReceipt:
        receipt: m.MemoryReceipt = await self._engine.mutate(
            memories.restore, Call(who, restore, request)
        )
        return receipt

    async def delete(
        self, who: m.Principal, delete: m.MemoryDelete, request: m.RequestRef | None
    ) -> m.MemoryDeleteReceipt:
        receipt: m.MemoryDeleteReceipt = await self._engine.mutate(
            memories.delete_memories, Call(who, delete, request), frees=True
        )
        return receipt

    async def forget_many(
        self,
        who: m.Principal,
        forget: m.MemoryForgetMany,
        request: m.RequestRef | None,
        *,
        validate_only: bool,
    ) -> m.ForgetManyReceipt:
        database = self._engine.database
        if validate_only:
            preview: m.ForgetManyReceipt = await database.read(
                lambda conn: memory_batches.preview(self._snapshot(conn, who), forget),
                tenant=who.tenant,
            )
            return preview
        if forget.filter is not None:
            filter_ = forget.filter

            def match(conn: Connection) -> m.ForgetManyReceipt | tuple[str, ...]:
                known: m.ForgetManyReceipt | None = recalled(conn, who.tenant, forget, request)
                return known or memory_batches.match(self._snapshot(conn, who), forget, filter_)

            matched = await database.read(match, tenant=who.tenant)
            if isinstance(matched, m.ForgetManyReceipt):
                return matched
            forget = replace(forget, matched=matched)
        receipt: m.ForgetManyReceipt = await self._engine.mutate(
            memory_batches.forget_many, Call(who, forget, request), forget.size or 1
        )
        return receipt

    def _snapshot(self, conn: Connection, who: m.Principal) -> TenantRead:
        engine = self._engine
        revision = tenant_revision(conn, who.tenant)
        return TenantRead(conn, who.tenant, engine.context.digester, revision, engine.now())

    async def restore_many(
        self, who: m.Principal, restore: m.MemoryRestoreMany, request: m.RequestRef | None
    ) -> m.RestoreManyReceipt:
        receipt: m.RestoreManyReceipt = await self._engine.mutate(
            memory_batches.restore_many, Call(who, restore, request), cost=memory_batches.RESTORED
        )
        return receipt

    async def get(
        self, who: m.Principal, container: str, memory_id: str, as_of: int | None
    ) -> m.Memory:
        return await self._gets.submit(
            memory_rows.MemoryRead(who, container, memory_id, as_of), group=who.tenant
        )

    async def close_past(self, who: m.Principal, as_of: int) -> None:
        await self._engine.close_past(who, as_of)

    async def list(
        self, who: m.Principal, query: m.MemoryQuery, page: m.PageRequest
    ) -> Page[m.Memory]:
        engine = self._engine
        return await engine.database.read(
            lambda conn: memory_rows.list_memories(
                conn, engine.context.digester, who, query, page, engine.now()
            ),
            tenant=who.tenant,
        )

    async def versions(
        self, who: m.Principal, container: str, memory_id: str, page: m.PageRequest
    ) -> Page[m.Memory]:
        engine = self._engine
        return await engine.database.read(
            lambda conn: memory_rows.list_versions(
                conn, engine.context.digester, who, container, memory_id, page, engine.now()
            ),
            tenant=who.tenant,
        )


class ContainerStore:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list(self, who: m.Principal, prefix: str, page: m.PageRequest) -> Page[m.Container]:
        now = self._engine.now()
        return await self._engine.database.read(
            lambda conn: containers.list_containers(conn, who, prefix, page, now),
            tenant=who.tenant,
        )

    async def delete(
        self,
        who: m.Principal,
        container: str,
        request: m.RequestRef | None,
        *,
        validate_only: bool,
        allow_missing: bool,
        budget: float | None,
    ) -> m.ContainerDeleteReceipt:
        purge = purges.Purge((container,), whole=True, allow_missing=allow_missing)
        receipt = await run_purge(self._engine, who, purge, request, validate_only, budget)
        return cast(m.ContainerDeleteReceipt, receipt)


class SqlStore:
    """All of the storage over one database; closes what it opened."""

    def __init__(
        self,
        database: Database,
        clock: WallClock,
        digester: Digester,
        keys: Keyring,
        options: StoreOptions,
        *,
        read_only: bool = False,
    ) -> None:
        self.digester = digester
        self.engine = Engine(database, Context(clock, digester), options, read_only=read_only)
        self.options = options
        self.keys = keys
        self.documents = DocumentStore(self.engine, options)
        self.memories = MemoryStore(self.engine, options)
        self.containers = ContainerStore(self.engine)
        self.queue = QueueStore(self.engine)
        self.index = IndexStore(self.engine)
        self.reindexing = ReindexStore(self.engine)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def idle(self) -> bool:
        """Whether no caller's work waits or runs, and nobody watches."""
        return self.engine.idle and self.documents.idle and self.memories.idle

    def now(self) -> int:
        return self.engine.now()

    def keep(self, task: asyncio.Task[None]) -> None:
        """A background task that ends with the store."""
        self._tasks.append(task)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.engine.close()
