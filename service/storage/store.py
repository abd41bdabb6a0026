"""The storage as a whole, over one database."""

from __future__ import annotations

import asyncio

from service.core.digests import Digester
from service.core.times import WallClock
from service.storage.containers.store import ContainerStore
from service.storage.documents.store import DocumentStore
from service.storage.engine import Database, Engine, StoreOptions
from service.storage.index.reindexing import ReindexStore
from service.storage.index.store import IndexStore
from service.storage.keys.keyring import Keyring
from service.storage.memories.store import MemoryStore
from service.storage.processing.store import QueueStore
from service.storage.transactions import Context


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
