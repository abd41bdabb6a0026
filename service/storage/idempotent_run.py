"""Running an operation on a batch of mutations; repetitions get the receipt of the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, select

from service.core import receipts
from service.core.errors import PalimpsestError, Reason
from service.core.model import IdempotencyKey
from service.storage import bulk
from service.storage.tables import requests
from service.storage.transactions import (
    DEFERRED,
    Context,
    Mutation,
    Operation,
    TenantTx,
    pad_in_list,
)

P = TypeVar("P")
R = TypeVar("R")

_REMEMBERED = select(
    requests.c.request_id, requests.c.fingerprint, requests.c.receipt, requests.c.complete
).where(
    requests.c.tenant == bindparam("t"),
    requests.c.request_id.in_(bindparam("ids", expanding=True)),
)


@dataclass(slots=True)
class OperationResult:
    """What mutations came to.

    Outcomes in their order, ids changed, whether anything was deleted, whether
    documents were queued, and the tenant's revision; 0: it has not changed.
    """

    outcomes: list[Any]
    changed: set[str]
    erased: bool = False
    queued: bool = False
    revision: int = 0


def run_operation(
    conn: Connection,
    context: Context,
    operation: Operation[P, R],
    mutations: Sequence[Mutation[P]],
) -> OperationResult:
    """Run mutations of one tenant and kind.

    Those that meet on one thing, and repetitions of a request_id, go one after
    the other, each seeing what the one before it did.
    """
    done = OperationResult([None] * len(mutations), set())
    waiting = list(range(len(mutations)))
    while waiting:
        tx = TenantTx(conn, mutations[0].tenant, context)
        fresh, later = _replay_receipts(tx, mutations, waiting, done.outcomes)
        results = operation(tx, [mutations[i] for i in fresh]) if fresh else ()
        for index, result in zip(fresh, results, strict=True):
            if result is DEFERRED:
                later.append(index)
            else:
                done.outcomes[index] = result
        tx.flush()
        done.changed.update(tx.changed_ids())
        done.erased = done.erased or tx.erases
        done.queued = done.queued or tx.queued
        done.revision = tx.revision if tx.advances else done.revision
        waiting = sorted(later)
    bulk.flush(conn)
    return done


def _replay_receipts(
    tx: TenantTx, mutations: Sequence[Mutation[object]], waiting: list[int], outcomes: list[Any]
) -> tuple[list[int], list[int]]:
    """Answer repetitions with their receipts; the rest is to run now, or after its first one."""
    named = {
        mutation.request.request_id
        for mutation in (mutations[i] for i in waiting)
        if mutation.request
    }
    if not named:
        return waiting, []
    known = {
        row.request_id: row
        for row in tx.conn.execute(_REMEMBERED, {"t": tx.tenant, "ids": pad_in_list(sorted(named))})
    }
    fresh: list[int] = []
    later: list[int] = []
    taken: set[str] = set()
    for index in waiting:
        request = mutations[index].request
        if request is None:
            fresh.append(index)
            continue
        row = known.get(request.request_id)
        outcome = _remembered(row, mutations[index].payload, request)
        if outcome is not None:
            outcomes[index] = outcome
        elif request.request_id in taken:
            later.append(index)
        else:
            taken.add(request.request_id)
            payload = mutations[index].payload
            mutations[index].progress = None if row is None else _receipt(row, payload)
            fresh.append(index)
    return fresh, later


def replayed_receipt(
    conn: Connection, tenant: int, payload: object, request: IdempotencyKey | None
) -> Any:
    """The first receipt of a request that is to be repeated; None: there is none.

    For what is done before the transaction that would find it. Raises REQUEST_ID_REUSED.
    """
    if request is None:
        return None
    where = {"t": tenant, "ids": [request.request_id]}
    outcome = _remembered(conn.execute(_REMEMBERED, where).one_or_none(), payload, request)
    if isinstance(outcome, PalimpsestError):
        raise outcome
    return outcome


def _remembered(row: Any, payload: object, request: IdempotencyKey) -> Any:
    """What a finished request came to, or why its id is taken; None: it is to be done."""
    if row is None:
        return None
    if bytes(row.fingerprint) != request.fingerprint:
        return PalimpsestError(
            Reason.REQUEST_ID_REUSED, "request_id was used for another request; take a new one"
        )
    return _receipt(row, payload) if row.complete else None


def _receipt(row: Any, payload: object) -> Any:
    return receipts.decode(row.receipt, getattr(payload, "container", ""))
