"""What all of the storage shares: reads, coalesced mutations, time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection

from service.core.errors import OpenTimeError, PalimpsestError, Reason
from service.core.model import Principal
from service.core.windows import DailyWindow
from service.ports.indexing import Indexer, NullIndexer
from service.runtime.coalescing import Coalescer
from service.storage.backend import Database, Maintenance
from service.storage.mutations import Batch, Mutation, run_mutations
from service.storage.transactions import Call, Context, Operation, close_past, last_time
from service.storage.watching import Watchers

log = logging.getLogger(__name__)

PART = 32
"""Calls of a long list that are always worked on together."""

_REVISIONS = attrgetter("revisions")


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How the storage runs.

    Args:
        sweep_interval: Seconds between looks for expired memories.
        checkpoint_interval: Seconds after which deleted bytes leave the WAL.
        scrub_interval: Seconds after which what deletion left in page slack is removed.
        scrub_window: When that is done in a database too large for any time of day.
        max_waiting: Mutations and reads that may wait before OVERLOADED.
        readers: Reads that run at once: a single read, and lists. More help where lists
            scan for long, and cost throughput where they are short.
        change_retention: Seconds that changes are kept; None: for ever.
        disk_reserve: Bytes of disk that are kept for deletions; 0: none.
    """

    sweep_interval: float = 1.0
    checkpoint_interval: float = 20.0
    scrub_interval: float = 60.0
    scrub_window: DailyWindow | None = None
    max_waiting: int = 10_000
    readers: int = 2
    change_retention: float | None = None
    disk_reserve: int = 0


class Engine:
    """What the nouns share: reads, coalesced mutations, time."""

    def __init__(
        self,
        database: Database,
        context: Context,
        options: StoreOptions,
        maintenance: Maintenance,
        *,
        read_only: bool = False,
    ) -> None:
        self.database = database
        self.context = context
        self.maintenance = maintenance
        self._read_only = read_only
        self._closed: dict[int, int] = {}
        """By tenant: a time up to which nothing can commit any more, on any server."""
        self.watchers = Watchers()
        self.queued = asyncio.Event()
        """Set when a document may have come into the queue."""
        self.indexer: Indexer = NullIndexer()
        """Makes memories findable as they are written; set before the first write."""
        self._mutations: Coalescer[Sequence[Mutation], Sequence[Any]] = Coalescer(
            self._run_mutations, options.max_waiting
        )

    async def mutate(
        self,
        operation: Operation,
        call: Call,
        weight: int = 1,
        *,
        cost: int | None = None,
        frees: bool = False,
    ) -> Any:
        """What a call comes to.

        Args:
            operation: What it asks for.
            call: The call.
            weight: How many items it carries.
            cost: How many rows it may write, if those are more. A transaction that is
                long holds up all tenants.
            frees: It deletes only, and goes through on a full disk.
        """
        mutations = [Mutation(operation, call, frees)]
        (outcome,) = await self._mutations.submit(mutations, weight, call.tenant, cost)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def mutate_all(
        self, operation: Operation, calls: Sequence[Call], weight: int, *, frees: bool = False
    ) -> Sequence[Any]:
        """What many calls come to; raises what the first failed of, the others being done."""
        if not calls:
            return ()
        mutations = [Mutation(operation, call, frees) for call in calls]
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
        if self.indexer.is_cheap(texts):
            call.texts, call.dates = texts, dates
        else:
            call.index = await self.indexer.index(texts, dates)
        return await self.mutate(operation, call, len(texts))

    async def _run_mutations(self, asked: Sequence[Sequence[Mutation]]) -> Sequence[Sequence[Any]]:
        mutations = list(chain.from_iterable(asked))
        await self._index([mutation.call for mutation in mutations if mutation.call.texts])
        batch = await self._committed(mutations)
        if batch.changed:
            self.maintenance.on_commit(self.now(), erased=batch.erased)
        if batch.queued:
            self.queued.set()
        self.watchers.notify(batch.changed)
        outcomes = iter(
            self.database.translated(outcome) if isinstance(outcome, Exception) else outcome
            for outcome in batch.outcomes
        )
        return [list(islice(outcomes, len(together))) for together in asked]

    async def _committed(self, mutations: Sequence[Mutation]) -> Batch:
        """Run mutations in one transaction; on a full disk only those that free room.

        Of those each for itself then, as one may need more room than there is.
        """
        freeing = [index for index, mutation in enumerate(mutations) if mutation.frees]
        only = len(freeing) == len(mutations)
        try:
            return await self.database.write(
                lambda conn: self._run_batch(conn, mutations), _REVISIONS, frees=only
            )
        except PalimpsestError as error:
            if not freeing or len(mutations) == 1:
                raise
            batch = Batch([error] * len(mutations), set())
        apart = [[index] for index in freeing] if only else [freeing]
        for indexes in apart:
            try:
                part = await self._committed([mutations[index] for index in indexes])
            except PalimpsestError as error:
                part = Batch([error] * len(indexes), set())
            for index, outcome in zip(indexes, part.outcomes, strict=True):
                batch.outcomes[index] = outcome
            batch.changed |= part.changed
            batch.erased = batch.erased or part.erased
            batch.queued = batch.queued or part.queued
        return batch

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
            self.maintenance.on_erased(conn)
        return batch

    @property
    def idle(self) -> bool:
        """Whether no mutation waits or runs, nobody reads and nobody watches."""
        return self._mutations.idle and self.database.idle and self.watchers.idle

    def now(self) -> int:
        """The wall clock."""
        return self.context.clock.now()

    async def close_past(self, who: Principal, instant: int) -> None:
        """Return when no commit of the tenant can have a time up to `instant` any more.

        Raises:
            PalimpsestError: TIME_IN_FUTURE, by the wall clock.
            OpenTimeError: Some can, and this is a process that only reads.
        """
        if instant > self.now():
            raise PalimpsestError(Reason.TIME_IN_FUTURE, "as_of lies in the future")
        tenant = who.tenant
        if instant <= self._closed.get(tenant, 0):
            return
        closed = await self.database.read(lambda conn: last_time(conn, tenant), snapshot=False)
        if instant > closed:
            if self._read_only:
                raise OpenTimeError(instant)
            closed = await self.mutate(close_past, Call(who, instant))
        self._closed[tenant] = max(closed, self._closed.get(tenant, 0))

    async def close(self) -> None:
        self.database.hurry()
        await self._mutations.close()
        await self.database.close()
