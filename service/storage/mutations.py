"""A batch of mutations inside one transaction.

Statement count, not the disk, is the cost of a mutation, and a batch shares its statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from service.storage import bulk, dialects
from service.storage.idempotent_run import run_operation
from service.storage.transactions import Context, Mutation, Operation


@dataclass(slots=True)
class Submission:
    """A mutation and the operation that does it."""

    operation: Operation[Any, Any]
    mutation: Mutation[Any]
    frees: bool = False
    """It deletes only, and may use the room that is kept for deletions."""


@dataclass(slots=True)
class BatchResult:
    """What a batch came to.

    One outcome per mutation, the (tenant, id)s changed, whether anything that was
    stored before was deleted or replaced, whether documents were queued, and the
    revision that each tenant has reached.
    """

    outcomes: list[Any]
    changed: set[tuple[int, str]]
    erased: bool = False
    queued: bool = False
    revisions: dict[int, int] = field(default_factory=dict)


class GroupFailedError(Exception):
    """A group failed, and what the others did must be undone: they had no savepoints."""


def run_mutations(
    conn: Connection,
    context: Context,
    submissions: Sequence[Submission],
    *,
    savepoints: bool = True,
) -> BatchResult:
    """Run mutations of many tenants and kinds inside the open transaction.

    Each (tenant, kind) is a group under a savepoint of its own. A group that
    fails as a whole is run again one by one, so that one harms no other.

    Args:
        conn: In a transaction.
        context: What every transaction needs.
        submissions: What to run.
        savepoints: Without, a failure of several raises GroupFailedError, and one's own error
            is raised: on PostgreSQL savepoints are round trips.
    """
    batch = BatchResult([None] * len(submissions), set())
    groups: dict[tuple[int, Operation[Any, Any]], list[int]] = {}
    for index, submission in enumerate(submissions):
        groups.setdefault((submission.mutation.tenant, submission.operation), []).append(index)
    # Tenants are locked in a fixed order, so that two batches do not wait for each other.
    for (tenant, operation), indexes in sorted(groups.items(), key=lambda group: group[0][0]):
        if not savepoints:
            try:
                _run_group(conn, context, submissions, operation, tenant, indexes, batch)
            except Exception as failure:
                if len(submissions) == 1 or dialects.to_run_again(failure):
                    raise
                raise GroupFailedError from failure
            continue
        error = _attempt(conn, context, submissions, operation, tenant, indexes, batch)
        if error is not None and len(indexes) > 1:
            for index in indexes:
                alone = _attempt(conn, context, submissions, operation, tenant, [index], batch)
                if alone is not None:
                    batch.outcomes[index] = alone
        elif error is not None:
            batch.outcomes[indexes[0]] = error
    return batch


def _attempt(
    conn: Connection,
    context: Context,
    submissions: Sequence[Submission],
    operation: Operation[Any, Any],
    tenant: int,
    indexes: Sequence[int],
    batch: BatchResult,
) -> Exception | None:
    """Run one group; on failure nothing of it stays, and the error is the answer."""
    conn.exec_driver_sql("SAVEPOINT mutations")
    try:
        _run_group(conn, context, submissions, operation, tenant, indexes, batch)
    except Exception as error:
        bulk.forget(conn)
        if not dialects.in_transaction(conn) or dialects.lacks_room(error):
            # The database has undone everything (I/O error), or all is tried again.
            raise
        conn.exec_driver_sql("ROLLBACK TO SAVEPOINT mutations")
        conn.exec_driver_sql("RELEASE SAVEPOINT mutations")
        return error
    conn.exec_driver_sql("RELEASE SAVEPOINT mutations")
    return None


def _run_group(
    conn: Connection,
    context: Context,
    submissions: Sequence[Submission],
    operation: Operation[Any, Any],
    tenant: int,
    indexes: Sequence[int],
    batch: BatchResult,
) -> None:
    done = run_operation(conn, context, operation, [submissions[i].mutation for i in indexes])
    for index, outcome in zip(indexes, done.outcomes, strict=True):
        batch.outcomes[index] = outcome
    batch.changed.update((tenant, entity) for entity in done.changed)
    batch.erased = batch.erased or done.erased
    batch.queued = batch.queued or done.queued
    if done.revision:
        batch.revisions[tenant] = done.revision
