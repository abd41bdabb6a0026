"""A store with a clock that the test moves, a receiver, and deliveries to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from service.core import model as m
from service.core import webhooks as rules
from service.core.times import WallClock
from service.storage.engine import StoreOptions
from service.storage.store import SqlStore
from service.storage.webhooks.operations import WebhookInfo
from service.webhooks.delivery import WebhookDelivery
from tests.backends.base import Backend
from tests.backends.selection import backend_of
from tests.inprocess import ManualClock
from tests.webhooks.receiver import Receiver, receiving

LEASE = 20.0


@dataclass
class Site:
    """A store, and what tests do with its webhooks."""

    backend: Backend
    store: SqlStore
    clock: ManualClock

    async def tenant(self, name: str = "one") -> m.Principal:
        return m.Principal(await self.store.ensure_tenant(name), "key")

    async def remember(
        self, principal: m.Principal, *contents: str, container: str = "a"
    ) -> list[str]:
        """Make a memory of each, each in a change of its own; the ids."""
        ids = []
        for content in contents:
            create = m.MemoryCreate(container, (m.NewMemory(content),))
            made = await self.store.memories.create(principal, create, None)
            ids.append(made.receipts[0].id)
        return ids

    def add(self, url: str, tenant: str = "one", after: int | None = 0, **target: Any) -> m.Webhook:
        given = {"allow_private": True, **target}
        made = m.WebhookTarget(url, rules.new_secret(), **given)
        return self.backend.administration.add_webhook(tenant, made, after)

    def info(self, webhook: m.Webhook) -> WebhookInfo:
        found = self.backend.administration.find_webhook(webhook.id)
        assert found is not None
        return found

    def state(self, webhook: m.Webhook) -> m.Webhook:
        return self.info(webhook).webhook

    def behind(self, webhook: m.Webhook) -> int:
        info = self.info(webhook)
        return info.revision - info.webhook.position

    def delivery(
        self, jitter: Callable[[], float] = lambda: 0.5, **options: Any
    ) -> WebhookDelivery:
        """Another server's, which delivers when it is told to."""
        clock = WallClock(self.clock, self.clock.elapsed)
        webhooks, changes = self.store.webhooks, self.store.changes
        return WebhookDelivery(webhooks, changes, clock, LEASE, jitter=jitter, **options)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def site(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Site]:
    options = StoreOptions(
        sweep_interval=3600, checkpoint_interval=3600, change_retention=30 * 86_400
    )
    backend = backend_of(tmp_path)
    store = await backend.open(WallClock(clock, clock.elapsed), options=options)
    try:
        yield Site(backend, store, clock)
    finally:
        await store.close()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
