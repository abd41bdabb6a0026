"""Webhooks, as the delivery sees them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.core import model as m
from service.ports.webhooks import DueWebhook
from service.storage.engine import MutationEngine
from service.storage.webhooks import operations


class WebhookStore:
    def __init__(self, engine: MutationEngine) -> None:
        self._database = engine.database

    async def due(self, now: int, limit: int) -> Sequence[DueWebhook]:
        return await self._database.read(
            lambda conn: operations.due(conn, now, limit), snapshot=False
        )

    async def claim(self, due: DueWebhook, holder: str) -> m.Webhook | None:
        return await self._database.write(lambda conn: operations.claim(conn, due, holder))

    async def renew(self, held: Iterable[tuple[int, str]], holder: str) -> None:
        names = sorted(held)
        await self._database.write(lambda conn: operations.renew(conn, names, holder))

    async def advance(self, webhook: m.Webhook, holder: str, position: int) -> bool:
        return await self._database.write(
            lambda conn: operations.advance(conn, webhook, holder, position)
        )

    async def release(self, webhook: m.Webhook, holder: str, position: int) -> bool:
        return await self._database.write(
            lambda conn: operations.release(conn, webhook, holder, position)
        )

    async def fail(
        self,
        webhook: m.Webhook,
        holder: str,
        position: int,
        *,
        failures: int,
        next_attempt: int,
        error: str,
        park: bool,
    ) -> bool:
        return await self._database.write(
            lambda conn: operations.fail(
                conn,
                webhook,
                holder,
                position,
                failures=failures,
                next_attempt=next_attempt,
                error=error,
                park=park,
            )
        )
