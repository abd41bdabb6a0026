"""Recording expiries: what reads already treat as forgotten becomes a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from service.core.memories import End
from service.core.model import ChangeKind, Principal
from service.storage.memories import rows
from service.storage.tables import memory_spans, requests
from service.storage.transactions import SYSTEM_KEY_ID, Mutation, Outcome, TenantTx, lock_tenants

STEP = 500
"""Expiries recorded in one transaction, at most."""

REQUEST_LIFETIME = 48 * 3600 * 1_000_000
"""How long receipts are kept for repetitions, in microseconds."""

_DUE = (
    select(memory_spans.c.tenant, memory_spans.c.memory_id)
    .where(
        memory_spans.c.end_kind == int(End.OPEN),
        memory_spans.c.shown_until <= bindparam("now"),
        memory_spans.c.forget_after.is_not(None),
    )
    .order_by(memory_spans.c.shown_until)
    .limit(STEP)
)
# The span's revision stays: an expiry is a change, but not a caller's write.
_EXPIRE = (
    update(memory_spans)
    .where(
        memory_spans.c.tenant == bindparam("t"),
        memory_spans.c.memory_id == bindparam("memory"),
        memory_spans.c.shown_from == bindparam("span"),
    )
    .values(end_kind=int(End.EXPIRED))
)
_STALE = (
    select(requests.c.tenant, requests.c.request_id)
    .where(requests.c.create_time < bindparam("before"))
    .order_by(requests.c.create_time)
    .limit(STEP)
)
_FORGET_REQUESTS = delete(requests).where(
    requests.c.tenant == bindparam("t"),
    requests.c.request_id == bindparam("request"),
    requests.c.create_time < bindparam("before"),
)


def due(conn: Connection, now: int) -> dict[int, list[str]]:
    """Memories that have expired without it being recorded, by tenant."""
    found: dict[int, list[str]] = {}
    for row in conn.execute(_DUE, {"now": now}):
        found.setdefault(row.tenant, []).append(row.memory_id)
    return found


def expire(tx: TenantTx, mutations: Sequence[Mutation[Sequence[str]]]) -> Sequence[Outcome[int]]:
    """Of the ids that `due` found; answers how many expiries were recorded."""
    results: list[Outcome[int]] = []
    for mutation in mutations:
        recorded = []
        for stored in rows.current(tx, mutation.payload).values():
            version, span = stored.version, stored.span
            if span.end is not End.OPEN or span.shown_until > tx.wall:
                continue
            tx.change(mutation, ChangeKind.MEMORY_EXPIRED, version.id, [version.container])
            tx.count(version.container, memories=-1)
            recorded.append({"t": tx.tenant, "memory": version.id, "span": span.shown_from})
        if recorded:
            tx.conn.execute(_EXPIRE, recorded)
        results.append(len(recorded))
    return results


def expiry(tenant: int, memory_ids: Sequence[str]) -> Mutation[Sequence[str]]:
    return Mutation(Principal(tenant, SYSTEM_KEY_ID), memory_ids)


def stale_requests(conn: Connection, now: int) -> list[Any]:
    """Receipts kept longer than promised."""
    return list(conn.execute(_STALE, {"before": now - REQUEST_LIFETIME}))


def forget_requests(conn: Connection, stale: Sequence[Any], now: int) -> None:
    lock_tenants(conn, (row.tenant for row in stale))
    conn.execute(
        _FORGET_REQUESTS,
        [
            {"t": row.tenant, "request": row.request_id, "before": now - REQUEST_LIFETIME}
            for row in stale
        ],
    )
