"""Changes, as the transport sees them."""

from __future__ import annotations

from service.core import model as m
from service.storage.changes import lists
from service.storage.engine import MutationEngine


class ChangeStore:
    def __init__(self, engine: MutationEngine) -> None:
        self._engine = engine

    async def list(self, principal: m.Principal, query: m.ChangeQuery) -> m.ChangePage:
        digester = self._engine.context.digester
        return await self._engine.database.read(
            lambda conn: lists.list_changes(conn, digester, principal, query),
            tenant=principal.tenant,
        )
