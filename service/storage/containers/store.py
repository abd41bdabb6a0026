"""Containers, as the transport sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from service.core import model as m
from service.ports.store import Page
from service.storage.containers import lists as containers
from service.storage.containers import purges
from service.storage.containers.purge_previews import preview
from service.storage.deletions import run_steps
from service.storage.engine import MutationEngine


class ContainerStore:
    def __init__(self, engine: MutationEngine) -> None:
        self._engine = engine

    async def list(
        self, principal: m.Principal, prefix: str, page: m.PageRequest
    ) -> Page[m.Container]:
        now = self._engine.now()
        return await self._engine.database.read(
            lambda conn: containers.list_containers(conn, principal, prefix, page, now),
            tenant=principal.tenant,
        )

    async def delete(
        self,
        principal: m.Principal,
        container: str,
        request: m.IdempotencyKey | None,
        *,
        validate_only: bool,
        allow_missing: bool,
        budget: float | None,
    ) -> m.ContainerDeleteReceipt:
        purge = purges.Purge((container,), whole=True, allow_missing=allow_missing)
        receipt = await self._run(principal, purge, request, validate_only, budget)
        return cast(m.ContainerDeleteReceipt, receipt)

    async def delete_documents(
        self,
        principal: m.Principal,
        containers: Sequence[str],
        request: m.IdempotencyKey | None,
        *,
        validate_only: bool,
        budget: float | None,
    ) -> m.BulkDeleteReceipt:
        purge = purges.Purge(tuple(containers), whole=False)
        receipt = await self._run(principal, purge, request, validate_only, budget)
        return cast(m.BulkDeleteReceipt, receipt)

    async def _run(
        self,
        principal: m.Principal,
        purge: purges.Purge,
        request: m.IdempotencyKey | None,
        validate_only: bool,
        budget: float | None,
    ) -> m.BulkDeleteReceipt | m.ContainerDeleteReceipt:
        if validate_only:
            return await self._engine.database.read(
                lambda conn: preview(conn, principal, purge), tenant=principal.tenant
            )
        return await run_steps(
            self._engine, purges.purge_step, principal, purge, request, budget=budget
        )
