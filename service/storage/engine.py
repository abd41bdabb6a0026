"""What all stores share: reads, coalesced mutations, time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from time import perf_counter
from typing import Any, TypeVar

from sqlalchemy import Connection

from service.core.errors import OpenTimeError, PalimpsestError, Reason
from service.core.model import Principal
from service.core.times import Moment
from service.core.windows import DailyWindow
from service.ports.indexing import Indexer
from service.runtime.call_stages import stage
from service.runtime.coalescing import Coalescer
from service.storage import dialects
from service.storage.backend import Database, Maintenance
from service.storage.mutations import (
    BatchResult,
    GroupFailedError,
    Submission,
    run_mutations,
)
from service.storage.statistics import BatchStatistics
from service.storage.transactions import Context, Mutation, Operation, close_past, last_time
from service.storage.watching import Watchers

P = TypeVar("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

PART = 32
"""Mutations of a long list that are always worked on together."""

_REVISIONS = attrgetter("revisions")


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How the storage runs.

    Args:
        sweep_interval: Seconds between checks for expired memories.
        checkpoint_interval: Seconds after which deleted bytes leave the WAL.
        scrub_interval: Seconds after which what deletion left in page slack is removed.
        statistics_interval: Seconds between two looks whether tables of PostgreSQL have grown, as
            long as something is written.
        scrub_window: When that is done in a database too large for any time of day.
        scrub_limit: Bytes from which on a database is that large.
        max_waiting: Mutations and reads that may wait before OVERLOADED.
        readers: Reads that run at once: a single read, and lists. More help where lists
            scan for long, and cost throughput where they are short.
        change_retention: Seconds that changes are kept; None: forever.
        disk_reserve: Bytes of disk that are kept for deletions; 0: none.
        index_block_bytes: After so many a block of index rows ends: few enough to be held in
            addition to the index several times over, enough that what a read costs by itself
            does not count.
        index_changes: Changes after which reading all of a container again is no dearer. Also
            few enough for one list of parameters: SQLite allows 32,766 unless built otherwise.
    """

    sweep_interval: float = 1.0
    checkpoint_interval: float = 20.0
    scrub_interval: float = 60.0
    statistics_interval: float = 1.0
    scrub_window: DailyWindow | None = None
    scrub_limit: int = 256 * 1024 * 1024
    max_waiting: int = 10_000
    readers: int = 2
    change_retention: float | None = None
    disk_reserve: int = 0
    index_block_bytes: int = 2 * 1024 * 1024
    index_changes: int = 16_000


class MutationEngine:
    """Runs the mutations of all stores in batches; has the database and the clock."""

    def __init__(
        self,
        database: Database,
        context: Context,
        options: StoreOptions,
        maintenance: Maintenance,
        indexer: Indexer,
        *,
        read_only: bool = False,
    ) -> None:
        self.database = database
        self.context = context
        self.maintenance = maintenance
        self._read_only = read_only
        self._closed: dict[int, int] = {}
        """By tenant: a time up to which nothing can commit any more, in any process."""
        self.watchers = Watchers()
        self.queued = asyncio.Event()
        """Set when a document may have come into the queue."""
        self.indexer = indexer
        self.batches = BatchStatistics()
        self._submissions: Coalescer[Sequence[Submission], Sequence[Any]] = Coalescer(
            self._run, options.max_waiting
        )

    async def mutate(
        self,
        operation: Operation[P, R],
        mutation: Mutation[P],
        weight: int = 1,
        *,
        cost: int | None = None,
        frees: bool = False,
    ) -> R:
        """What a mutation comes to; raises what it failed of.

        Args:
            operation: Does it.
            mutation: What to do.
            weight: How many items it carries.
            cost: How many rows it may write, if those are more. A transaction that is
                long holds up all tenants.
            frees: It deletes only, and goes through on a full disk.
        """
        submissions = [Submission(operation, mutation, frees)]
        (outcome,) = await self._submissions.submit(submissions, weight, mutation.tenant, cost)
        result: R = _result(outcome)
        return result

    async def mutate_all(
        self,
        operation: Operation[P, R],
        mutations: Sequence[Mutation[P]],
        weight: int,
        *,
        frees: bool = False,
    ) -> Sequence[R]:
        """What many mutations come to; raises what the first failed of, the others being done."""
        if not mutations:
            return ()
        submissions = [Submission(operation, mutation, frees) for mutation in mutations]
        # Each part is a batch of its own while other tenants wait.
        parts = [submissions[i : i + PART] for i in range(0, len(submissions), PART)]
        each = -(-weight // len(parts))
        done = await asyncio.gather(
            *(self._submissions.submit(part, each, part[0].mutation.tenant) for part in parts)
        )
        return [_result(outcome) for outcome in chain.from_iterable(done)]

    @property
    def shared(self) -> bool:
        """Whether several tenants write, so that one should not keep the writer for long."""
        return self._submissions.shared

    async def mutate_indexed(
        self,
        operation: Operation[P, R],
        mutation: Mutation[P],
        texts: Sequence[str],
        dates: Sequence[Moment | None],
    ) -> R:
        """`mutate`, of memories with these texts: they are findable when it is done."""
        mutation.dated = self.indexer.dated
        if self.indexer.is_cheap(texts):
            mutation.texts, mutation.dates = texts, dates
        else:
            with stage("index"):
                mutation.index = await self.indexer.index(texts, dates)
        return await self.mutate(operation, mutation, len(texts))

    async def _run(self, submitted: Sequence[Sequence[Submission]]) -> Sequence[Sequence[Any]]:
        submissions = list(chain.from_iterable(submitted))
        await self._index([one.mutation for one in submissions if one.mutation.texts])
        began = perf_counter()
        batch = await self._committed(submissions)
        self.batches.written(len(submissions), perf_counter() - began)
        if batch.changed:
            self.maintenance.on_commit(self.now(), erased=batch.erased)
        if batch.queued:
            self.queued.set()
        self.watchers.notify(batch.changed)
        outcomes = iter(
            self.database.translated(outcome) if isinstance(outcome, Exception) else outcome
            for outcome in batch.outcomes
        )
        return [list(islice(outcomes, len(together))) for together in submitted]

    async def _committed(self, submissions: Sequence[Submission]) -> BatchResult:
        """Run submissions in one transaction; on a full disk only those that free room.

        Of those each for itself then, as one may need more room than there is.
        """
        freeing = [index for index, submission in enumerate(submissions) if submission.frees]
        only = len(freeing) == len(submissions)
        try:
            return await self._written(submissions, frees=only)
        except PalimpsestError as error:
            if not freeing or len(submissions) == 1 or not dialects.lacks_room(error):
                raise
            batch = BatchResult([error] * len(submissions), set())
        apart = [[index] for index in freeing] if only else [freeing]
        for indexes in apart:
            try:
                part = await self._committed([submissions[index] for index in indexes])
            except PalimpsestError as error:
                part = BatchResult([error] * len(indexes), set())
            for index, outcome in zip(indexes, part.outcomes, strict=True):
                batch.outcomes[index] = outcome
            batch.changed |= part.changed
            batch.erased = batch.erased or part.erased
            batch.queued = batch.queued or part.queued
        return batch

    async def _written(self, submissions: Sequence[Submission], *, frees: bool) -> BatchResult:
        write = self.database.write
        try:
            return await write(
                lambda conn: self._run_batch(conn, submissions), _REVISIONS, frees=frees
            )
        except GroupFailedError:
            return await write(
                lambda conn: self._noting(conn, submissions, savepoints=True),
                _REVISIONS,
                frees=frees,
            )

    def _run_batch(self, conn: Connection, submissions: Sequence[Submission]) -> BatchResult:
        return self._noting(conn, submissions, savepoints=not dialects.is_remote(conn))

    def _noting(
        self, conn: Connection, submissions: Sequence[Submission], *, savepoints: bool
    ) -> BatchResult:
        batch = run_mutations(conn, self.context, submissions, savepoints=savepoints)
        if batch.erased:
            self.maintenance.on_erased(conn)
        return batch

    async def _index(self, mutations: Sequence[Mutation[object]]) -> None:
        """Index the texts of all mutations at once."""
        if not mutations:
            return
        texts = list(chain.from_iterable(mutation.texts for mutation in mutations))
        dates = list(chain.from_iterable(mutation.dates for mutation in mutations))
        try:
            with stage("index"):
                made = iter(await self.indexer.index(texts, dates))
        except Exception:
            # Others wait for this batch; what has no entry is indexed later.
            log.exception("memories are indexed later")
            return
        for mutation in mutations:
            mutation.index = list(islice(made, len(mutation.texts)))

    @property
    def idle(self) -> bool:
        """Whether no mutation or read waits or runs, and there are no watchers."""
        return self._submissions.idle and self.database.idle and self.watchers.idle

    def now(self) -> int:
        """The wall clock."""
        return self.context.clock.now()

    async def close_past(self, principal: Principal, instant: int) -> None:
        """Return when no commit of the tenant can have a time up to `instant` any more.

        Raises:
            PalimpsestError: TIME_IN_FUTURE, by the wall clock.
            OpenTimeError: Some can, and this is a process that only reads.
        """
        if instant > self.now():
            raise PalimpsestError(Reason.TIME_IN_FUTURE, "as_of lies in the future")
        tenant = principal.tenant
        if instant <= self._closed.get(tenant, 0):
            return
        closed = await self.database.read(lambda conn: last_time(conn, tenant), snapshot=False)
        if instant > closed:
            if self._read_only:
                raise OpenTimeError(instant)
            closed = await self.mutate(close_past, Mutation(principal, instant))
        self._closed[tenant] = max(closed, self._closed.get(tenant, 0))

    async def close(self) -> None:
        self.database.hurry()
        await self._submissions.close()
        await self.database.close()


def _result(outcome: Any) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
