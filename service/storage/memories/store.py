"""Memories, as the transport sees them: batches behind single calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from service.core import memories as rules
from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.ports.store import NumberedPage, Page
from service.runtime.coalescing import Coalescer
from service.storage.engine import MutationEngine, StoreOptions
from service.storage.idempotent_run import replayed_receipt
from service.storage.lists import tenant_revision
from service.storage.memories import batches as memory_batches
from service.storage.memories import lists as memory_lists
from service.storage.memories import operations as memories
from service.storage.memories import rows as memory_rows
from service.storage.transactions import Mutation, TenantRead


class MemoryStore:
    def __init__(self, engine: MutationEngine, options: StoreOptions) -> None:
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
        self, principal: m.Principal, create: m.MemoryCreate, request: m.IdempotencyKey | None
    ) -> m.MemoriesReceipt:
        return await self._engine.mutate_indexed(
            memories.create,
            Mutation(principal, create, request),
            [new.content for new in create.memories],
            [rules.date_of(new.temporal) for new in create.memories],
        )

    async def update(
        self, principal: m.Principal, update: m.MemoryUpdate, request: m.IdempotencyKey | None
    ) -> m.UpdatedMemory:
        # A repetition answers the receipt alone.
        outcome: m.UpdatedMemory | m.MemoryReceipt = await self._engine.mutate_indexed(
            memories.update_memories,
            Mutation(principal, update, request),
            [update.content],
            [rules.date_of(update.temporal)],
        )
        if isinstance(outcome, m.UpdatedMemory):
            return outcome
        try:
            memory = await self.get(principal, outcome.container, outcome.id, None)
        except PalimpsestError as error:
            if error.reason is not Reason.MEMORY_NOT_FOUND:
                raise
            return m.UpdatedMemory(outcome, None)
        return m.UpdatedMemory(outcome, memory)

    async def forget(
        self, principal: m.Principal, forget: m.MemoryForget, request: m.IdempotencyKey | None
    ) -> m.MemoryReceipt:
        return await self._engine.mutate(memories.forget, Mutation(principal, forget, request))

    async def restore(
        self, principal: m.Principal, restore: m.MemoryRestore, request: m.IdempotencyKey | None
    ) -> m.MemoryReceipt:
        return await self._engine.mutate(memories.restore, Mutation(principal, restore, request))

    async def delete(
        self, principal: m.Principal, delete: m.MemoryDelete, request: m.IdempotencyKey | None
    ) -> m.MemoryDeleteReceipt:
        return await self._engine.mutate(
            memories.delete_memories, Mutation(principal, delete, request), frees=True
        )

    async def forget_many(
        self,
        principal: m.Principal,
        forget: m.MemoryForgetMany,
        request: m.IdempotencyKey | None,
        *,
        validate_only: bool,
    ) -> m.ForgetManyReceipt:
        database = self._engine.database
        if validate_only:
            return await database.read(
                lambda conn: memory_batches.preview(self._snapshot(conn, principal), forget),
                tenant=principal.tenant,
            )
        if forget.filter is not None:
            filter_ = forget.filter

            def match(conn: Connection) -> m.ForgetManyReceipt | tuple[str, ...]:
                known: m.ForgetManyReceipt | None = replayed_receipt(
                    conn, principal.tenant, forget, request
                )
                return known or memory_batches.match(
                    self._snapshot(conn, principal), forget, filter_
                )

            matched = await database.read(match, tenant=principal.tenant)
            if isinstance(matched, m.ForgetManyReceipt):
                return matched
            forget = replace(forget, matched=matched)
        return await self._engine.mutate(
            memory_batches.forget_many, Mutation(principal, forget, request), forget.size or 1
        )

    def _snapshot(self, conn: Connection, principal: m.Principal) -> TenantRead:
        engine = self._engine
        revision = tenant_revision(conn, principal.tenant)
        return TenantRead(conn, principal.tenant, engine.context.digester, revision, engine.now())

    async def restore_many(
        self, principal: m.Principal, restore: m.MemoryRestoreMany, request: m.IdempotencyKey | None
    ) -> m.RestoreManyReceipt:
        return await self._engine.mutate(
            memory_batches.restore_many,
            Mutation(principal, restore, request),
            cost=memory_batches.RESTORED,
        )

    async def get(
        self, principal: m.Principal, container: str, memory_id: str, as_of: int | None
    ) -> m.Memory:
        return await self._gets.submit(
            memory_rows.MemoryRead(principal, container, memory_id, as_of), group=principal.tenant
        )

    async def close_past(self, principal: m.Principal, as_of: int) -> None:
        await self._engine.close_past(principal, as_of)

    async def list(
        self, principal: m.Principal, query: m.MemoryQuery, page: m.PageRequest
    ) -> Page[m.Memory]:
        engine = self._engine
        return await engine.database.read(
            lambda conn: memory_lists.list_memories(
                conn, engine.context.digester, principal, query, page, engine.now()
            ),
            tenant=principal.tenant,
        )

    async def numbered(
        self, principal: m.Principal, query: m.MemoryQuery, page: m.PageNumber
    ) -> NumberedPage[m.Memory]:
        engine = self._engine
        return await engine.database.read(
            lambda conn: memory_lists.numbered_memories(
                conn, engine.context.digester, principal, query, page, engine.now()
            ),
            tenant=principal.tenant,
        )

    async def versions(
        self, principal: m.Principal, container: str, memory_id: str, page: m.PageRequest
    ) -> Page[m.Memory]:
        engine = self._engine
        return await engine.database.read(
            lambda conn: memory_lists.list_versions(
                conn, engine.context.digester, principal, container, memory_id, page, engine.now()
            ),
            tenant=principal.tenant,
        )
