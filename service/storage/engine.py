"""What all of the storage shares: reads, coalesced mutations, time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from service.core.coalescing import Coalescer
from service.core.indexing import Indexer, Unindexed
from service.core.windows import DailyWindow
from service.storage import dialects
from service.storage.mutations import Batch, Mutation, run_mutations
from service.storage.scrubbing import Schedule
from service.storage.transactions import Call, Context, Operation
from service.storage.watching import Watchers

T = TypeVar("T")

log = logging.getLogger(__name__)

PART = 32
"""Calls of a long list that are always worked on together."""


class Database(Protocol):
    """Where transactions run: the embedded database, or a server."""

    async def write(self, work: Callable[[Connection], T]) -> T: ...

    async def read(self, work: Callable[[Connection], T], *, snapshot: bool = True) -> T:
        """Run `work` on one snapshot, or, without, each statement on its own."""
        ...

    def translated(self, error: BaseException) -> BaseException:
        """What a caller is told of a database error; others stay as they are."""
        ...

    @property
    def idle(self) -> bool:
        """Whether no read is being served."""
        ...

    async def checkpoint(self) -> bool: ...

    def hurry(self) -> None:
        """Do not wait for other processes any more: nobody waits for the answers."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How the storage runs.

    Args:
        sweep_interval: Seconds between looks for expired memories.
        checkpoint_interval: Seconds after which deleted bytes leave the WAL.
        scrub_interval: Seconds after which what deletion left in page slack is removed.
        scrub_window: When that is done in a database too large for any time of day.
        max_waiting: Mutations and reads that may wait before OVERLOADED.
        readers: Reading connections: one for single reads, the others for lists. More
            help where lists scan for long, and cost throughput where they are short.
    """

    sweep_interval: float = 1.0
    checkpoint_interval: float = 20.0
    scrub_interval: float = 60.0
    scrub_window: DailyWindow | None = None
    max_waiting: int = 10_000
    readers: int = 2


class Engine:
    """What the nouns share: reads, coalesced mutations, time."""

    def __init__(self, database: Database, context: Context, options: StoreOptions) -> None:
        self.database = database
        self.context = context
        self.watchers = Watchers()
        # What a crash left in the log may hold deletions, too.
        self.deleted = True
        self.scrubs = Schedule(options.scrub_interval, options.scrub_window)
        self.queued = asyncio.Event()
        """Set when a document may have come into the queue."""
        self.indexer: Indexer = Unindexed()
        """Makes memories findable as they are written; set before the first write."""
        self._mutations: Coalescer[Sequence[Mutation], Sequence[Any]] = Coalescer(
            self._run_mutations, options.max_waiting
        )

    async def mutate(self, operation: Operation, call: Call, weight: int = 1) -> Any:
        mutations = [Mutation(operation, call)]
        (outcome,) = await self._mutations.submit(mutations, weight, call.tenant)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def mutate_all(
        self, operation: Operation, calls: Sequence[Call], weight: int
    ) -> Sequence[Any]:
        """What many calls come to; raises what the first failed of, the others being done."""
        if not calls:
            return ()
        mutations = [Mutation(operation, call) for call in calls]
        # Each part is a batch of its own while other tenants wait.
        parts = [mutations[i : i + PART] for i in range(0, len(mutations), PART)]
        each = -(-weight // len(parts))
        done = await asyncio.gather(
            *(self._mutations.submit(part, each, part[0].call.tenant) for part in parts)
        )
        outcomes = list(chain.from_iterable(done))
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return outcomes

    @property
    def shared(self) -> bool:
        """Whether several tenants write, so that one should not keep the writer for long."""
        return self._mutations.shared

    async def mutate_indexed(
        self,
        operation: Operation,
        call: Call,
        texts: Sequence[str],
        dates: Sequence[int | None],
    ) -> Any:
        """`mutate`, of memories with these texts: they are findable when it is done."""
        call.dated = self.indexer.dated
        if self.indexer.quick(texts):
            call.texts, call.dates = texts, dates
        else:
            call.index = await self.indexer.index(texts, dates)
        return await self.mutate(operation, call, len(texts))

    async def _run_mutations(self, asked: Sequence[Sequence[Mutation]]) -> Sequence[Sequence[Any]]:
        mutations = list(chain.from_iterable(asked))
        await self._index([mutation.call for mutation in mutations if mutation.call.texts])
        batch = await self.database.write(lambda conn: self._run_batch(conn, mutations))
        if batch.changed:
            self.deleted = True
            self.scrubs.wrote(self.now(), erased=batch.erased)
        if batch.queued:
            self.queued.set()
        self.watchers.notify(batch.changed)
        outcomes = iter(
            self.database.translated(outcome) if isinstance(outcome, Exception) else outcome
            for outcome in batch.outcomes
        )
        return [list(islice(outcomes, len(together))) for together in asked]

    async def _index(self, calls: Sequence[Call]) -> None:
        """The texts of all calls at once."""
        if not calls:
            return
        texts = list(chain.from_iterable(call.texts for call in calls))
        dates = list(chain.from_iterable(call.dates for call in calls))
        try:
            made = iter(await self.indexer.index(texts, dates))
        except Exception:
            # Others wait for this batch; what has no entry is indexed later.
            log.exception("memories are indexed later")
            return
        for call in calls:
            call.index = list(islice(made, len(call.texts)))

    def _run_batch(self, conn: Connection, mutations: Sequence[Mutation]) -> Batch:
        batch = run_mutations(conn, self.context, mutations)
        if batch.erased:
            dialects.mark_erased(conn)
        return batch

    @property
    def idle(self) -> bool:
        """Whether no mutation waits or runs, nobody reads and nobody watches."""
        return self._mutations.idle and self.database.idle and self.watchers.idle

    def now(self) -> int:
        return self.context.clock.now()

    async def close(self) -> None:
        self.database.hurry()
        await self._mutations.close()
        await self.database.close()
