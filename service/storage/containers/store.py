"""Containers, as the transport sees them."""

from __future__ import annotations

from typing import cast

from service.core import model as m
from service.ports.store import Page
from service.storage.containers import lists as containers
from service.storage.containers import purges
from service.storage.deletions import run_purge
from service.storage.engine import Engine


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
        request: m.IdempotencyKey | None,
        *,
        validate_only: bool,
        allow_missing: bool,
        budget: float | None,
    ) -> m.ContainerDeleteReceipt:
        purge = purges.Purge((container,), whole=True, allow_missing=allow_missing)
        receipt = await run_purge(self._engine, who, purge, request, validate_only, budget)
        return cast(m.ContainerDeleteReceipt, receipt)
