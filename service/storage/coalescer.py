"""Batches: what arrives while the database is busy goes to it together.

A call that finds the database idle goes alone and at once; under load a batch is
what arrived during the one before it and a short pause. Statement count, not the
disk, is the cost of a call, and a batch shares its statements.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection

from service.core.errors import PalimpsestError, Reason
from service.storage import dialects
from service.storage.transactions import Call, Context, Operation, Outcome, run_operation

In = TypeVar("In")
Out = TypeVar("Out")

MAX_BATCH = 1024
"""Weight of one batch; a call weighs as much as the items it carries."""

LINGER_SECONDS = 0.002
"""Pause after a batch of several, for the next calls of those just answered.

Each visit to the database's thread costs a fight for the interpreter lock: under
load few large batches carry a third more than many small ones. Who comes alone
never waits.
"""


@dataclass(slots=True)
class _Waiting(Generic[In]):
    item: In
    weight: int


class Coalescer(Generic[In, Out]):
    """Gathers items while `run` is busy with the ones before.

    Args:
        run: Takes a batch; answers one result or exception for each item.
        max_waiting: Weight that may wait; more is refused with OVERLOADED.
        max_batch: Weight of one batch; a heavier call goes alone.
    """

    def __init__(
        self,
        run: Callable[[Sequence[In]], Awaitable[Sequence[Out | BaseException]]],
        max_waiting: int,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._run = run
        self._max_waiting = max_waiting
        self._max_batch = max_batch
        self._queue: OrderedDict[asyncio.Future[Out], _Waiting[In]] = OrderedDict()
        self._weight = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, item: In, weight: int = 1) -> Out:
        if self._closed:
            raise PalimpsestError(Reason.SHUTTING_DOWN, "The server is stopping", retry_after=1)
        if self._queue and self._weight + weight > self._max_waiting:
            raise PalimpsestError(
                Reason.OVERLOADED, "Too many calls are waiting; retry later", retry_after=1
            )
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._queue[future] = _Waiting(item, weight)
        self._weight += weight
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        try:
            return await future
        except asyncio.CancelledError:
            # What runs already runs to its end; what waits is nobody's any more.
            given_up = self._queue.pop(future, None)
            if given_up is not None:
                self._weight -= given_up.weight
            raise

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return self._task is None

    async def close(self) -> None:
        """Refuse new items and wait for those taken."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _drain(self) -> None:
        # One turn of the loop: calls that are ready now belong in this batch.
        await asyncio.sleep(0)
        try:
            while self._queue:
                futures, items = self._take()
                if not items:
                    continue
                try:
                    results = await self._run(items)
                except BaseException as error:  # noqa: BLE001  (goes to the callers)
                    results = [error] * len(items)
                for future, result in zip(futures, results, strict=True):
                    if future.done():
                        continue
                    if isinstance(result, BaseException):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
                # The answers wake their callers, whose next calls then join in.
                await asyncio.sleep(LINGER_SECONDS if len(items) > 1 else 0)
        finally:
            self._task = None

    def _take(self) -> tuple[list[asyncio.Future[Out]], list[In]]:
        futures: list[asyncio.Future[Out]] = []
        items: list[In] = []
        taken = 0
        while self._queue:
            future, waiting = next(iter(self._queue.items()))
            if futures and taken + waiting.weight > self._max_batch:
                break
            del self._queue[future]
            self._weight -= waiting.weight
            if not future.done():
                taken += waiting.weight
                futures.append(future)
                items.append(waiting.item)
        return futures, items


@dataclass(slots=True)
class Mutation:
    """A call and the operation it asks for."""

    operation: Operation
    call: Call


@dataclass(slots=True)
class Batch:
    """What a batch came to.

    One outcome per mutation, the (tenant, id)s changed, whether anything that was
    stored before was deleted or replaced, and whether documents were queued.
    """

    outcomes: list[Outcome]
    changed: set[tuple[int, str]]
    erased: bool = False
    queued: bool = False


def run_mutations(conn: Connection, context: Context, mutations: Sequence[Mutation]) -> Batch:
    """Run mutations of many tenants and kinds inside the open transaction.

    Each (tenant, kind) is a group under a savepoint of its own. A group that
    fails as a whole is run again call by call, so that one harms no other.
    """
    batch = Batch([None] * len(mutations), set())
    groups: dict[tuple[int, Operation], list[int]] = {}
    for index, mutation in enumerate(mutations):
        groups.setdefault((mutation.call.tenant, mutation.operation), []).append(index)
    for (tenant, operation), indexes in groups.items():
        error = _attempt(conn, context, mutations, operation, tenant, indexes, batch)
        if error is not None and len(indexes) > 1:
            for index in indexes:
                alone = _attempt(conn, context, mutations, operation, tenant, [index], batch)
                if alone is not None:
                    batch.outcomes[index] = alone
        elif error is not None:
            batch.outcomes[indexes[0]] = error
    return batch


def _attempt(
    conn: Connection,
    context: Context,
    mutations: Sequence[Mutation],
    operation: Operation,
    tenant: int,
    indexes: Sequence[int],
    batch: Batch,
) -> Exception | None:
    """Run one group; on failure nothing of it stays, and the error is the answer."""
    conn.exec_driver_sql("SAVEPOINT mutations")
    try:
        done = run_operation(conn, context, operation, [mutations[i].call for i in indexes])
    except Exception as error:
        if not dialects.in_transaction(conn):
            raise  # The database has undone everything (full disk, I/O error).
        conn.exec_driver_sql("ROLLBACK TO SAVEPOINT mutations")
        conn.exec_driver_sql("RELEASE SAVEPOINT mutations")
        return error
    conn.exec_driver_sql("RELEASE SAVEPOINT mutations")
    for index, outcome in zip(indexes, done.outcomes, strict=True):
        batch.outcomes[index] = outcome
    batch.changed.update((tenant, entity) for entity in done.changed)
    batch.erased = batch.erased or done.erased
    batch.queued = batch.queued or done.queued
    return None
