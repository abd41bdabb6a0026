"""Batches: what arrives while the database is busy goes to it together.

A call that finds the database idle goes alone and at once; under load a batch is
what arrived during the one before it and a short pause. Statement count, not the
disk, is the cost of a call, and a batch shares its statements.
"""

from __future__ import annotations

import asyncio
from collections import deque
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
class _Waiting(Generic[In, Out]):
    item: In
    weight: int
    future: asyncio.Future[Out]


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
        self._queue: deque[_Waiting[In, Out]] = deque()
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
        self._queue.append(_Waiting(item, weight, future))
        self._weight += weight
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    async def close(self) -> None:
        """Refuse new items and wait for those taken."""
        self._closed = True
        if self._task is not None:
            await self._task

    async def _drain(self) -> None:
        # One turn of the loop: calls that are ready now belong in this batch.
        await asyncio.sleep(0)
        try:
            while self._queue:
                batch = self._take()
                if not batch:
                    continue
                try:
                    results = await self._run([waiting.item for waiting in batch])
                except BaseException as error:  # noqa: BLE001  (goes to the callers)
                    results = [error] * len(batch)
                for waiting, result in zip(batch, results, strict=True):
                    if waiting.future.done():
                        continue
                    if isinstance(result, BaseException):
                        waiting.future.set_exception(result)
                    else:
                        waiting.future.set_result(result)
                # The answers wake their callers, whose next calls then join in.
                await asyncio.sleep(LINGER_SECONDS if len(batch) > 1 else 0)
        finally:
            self._task = None

    def _take(self) -> list[_Waiting[In, Out]]:
        batch: list[_Waiting[In, Out]] = []
        weight = 0
        while self._queue and (not batch or weight + self._queue[0].weight <= self._max_batch):
            waiting = self._queue.popleft()
            self._weight -= waiting.weight
            if not waiting.future.done():
                batch.append(waiting)
                weight += waiting.weight
        return batch


@dataclass(slots=True)
class Mutation:
    """A call and the operation it asks for."""

    operation: Operation
    call: Call


@dataclass(slots=True)
class Batch:
    """What a batch came to: one outcome per mutation, and the (tenant, id)s changed."""

    outcomes: list[Outcome]
    changed: set[tuple[int, str]]


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
        outcomes, changed = run_operation(
            conn, context, operation, [mutations[i].call for i in indexes]
        )
    except Exception as error:
        if not dialects.in_transaction(conn):
            raise  # The database has undone everything (full disk, I/O error).
        conn.exec_driver_sql("ROLLBACK TO SAVEPOINT mutations")
        conn.exec_driver_sql("RELEASE SAVEPOINT mutations")
        return error
    conn.exec_driver_sql("RELEASE SAVEPOINT mutations")
    for index, outcome in zip(indexes, outcomes, strict=True):
        batch.outcomes[index] = outcome
    batch.changed.update((tenant, entity) for entity in changed)
    return None
