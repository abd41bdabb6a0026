"""Forgetting many memories as one, and undoing it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from service.core import ids
from service.core.errors import (
    PalimpsestError,
    Reason,
    Violation,
)
from service.core.filters import Filter
from service.core.model import (
    ForgetManyReceipt,
    MemoryForgetMany,
    MemoryRestore,
    MemoryRestoreMany,
    MemoryTarget,
    RestoreManyReceipt,
)
from service.core.times import FOREVER
from service.storage.filters import compile_filter
from service.storage.memories import rows
from service.storage.memories.rows import Stored
from service.storage.memories.writes import (
    MemoryWriteBatch,
    forget_one,
    restore_one,
)
from service.storage.tables import memories, memory_spans
from service.storage.transactions import DEFERRED, Mutation, Outcome, Snapshot, TenantTx


def matching(
    conn: Connection, tenant: int, container: str, filter_: Filter, wall: int, limit: int
) -> list[str]:
    """Ids of latest, remembered memories for which the filter is true, oldest first."""
    _, ends = rows.shown_ends(conn, tenant, wall)
    found: list[tuple[str, str]] = []
    for end in ends:
        matched = conn.execute(
            select(memory_spans.c.root_id, memory_spans.c.memory_id)
            .select_from(rows.SPANS_JOINED)
            .where(
                memory_spans.c.tenant == tenant,
                memory_spans.c.container == container,
                memory_spans.c.end_kind == int(end),
                memory_spans.c.state_until == FOREVER,
                memory_spans.c.shown_until > wall,
                compile_filter(filter_, memories, rows.FIELDS, conn.dialect.name),
            )
            .order_by(memory_spans.c.root_id, memory_spans.c.memory_id)
            .limit(limit)
        )
        found += [(row.root_id, row.memory_id) for row in matched]
    return [memory_id for _, memory_id in sorted(found)[:limit]]


def remembered(tx: Snapshot, container: str, names: Sequence[str]) -> list[Stored]:
    """Those of the versions that are latest and remembered now, in their order."""
    found = rows.current(tx, names)
    stored = (found[name] for name in names if name in found)
    return [
        one for one in stored if one.version.container == container and not one.span.over(tx.wall)
    ]


def match(read: Snapshot, request: MemoryForgetMany, filter_: Filter) -> tuple[str, ...]:
    """What the request's filter matches; raises TOO_MANY_MATCHES.

    The transaction that forgets must not wait for a filter, and need not: a version never
    changes in what filters test, so that it is enough to check whether it is still shown.
    """
    limit = request.max_forget + 1
    found = matching(read.conn, read.tenant, request.container, filter_, read.wall, limit)
    _check_few_enough(request, len(found))
    return tuple(found)


def preview(read: Snapshot, request: MemoryForgetMany) -> ForgetManyReceipt:
    """What a request would forget now; nothing is forgotten."""
    if request.filter is not None:
        return _receipt(read, request, "", match(read, request, request.filter))
    stored = many_targets(read, request)
    return _receipt(read, request, "", [one.version.id for one in stored])


def forget_many(
    tx: TenantTx, mutations: Sequence[Mutation[MemoryForgetMany]]
) -> Sequence[Outcome[ForgetManyReceipt]]:
    """All or none of its memories.

    One mutation at a time: what is remembered depends on the one before it.
    """
    mutation = mutations[0]
    request = mutation.payload
    result: Outcome[ForgetManyReceipt]
    try:
        stored = many_targets(tx, request)
    except PalimpsestError as error:
        result = error
    else:
        writes = MemoryWriteBatch(tx)
        batch = tx.new_id(ids.FORGET_BATCH) if stored else ""
        for one in stored:
            forget_one(tx, mutation, writes, one, request.reason, batch)
        writes.flush()
        result = _receipt(tx, request, batch, [one.version.id for one in stored])
        tx.remember(mutation, result)
    return [result, *(DEFERRED for _ in mutations[1:])]


def _receipt(
    tx: Snapshot, request: MemoryForgetMany, batch: str, names: Sequence[str]
) -> ForgetManyReceipt:
    scores = dict(request.found or ())
    return ForgetManyReceipt(
        batch, tuple(names), tx.revision, tuple(scores[name] for name in names) if scores else ()
    )


def many_targets(tx: Snapshot, request: MemoryForgetMany) -> list[Stored]:
    """What ForgetMemories means; raises when an id is bad or too many match."""
    if request.filter is not None:
        return remembered(tx, request.container, request.matched)
    if request.found is not None:
        found = [name for name, _ in request.found]
        stored = remembered(tx, request.container, found)
        _check_few_enough(request, len(stored))
        return stored
    targets = [MemoryTarget(request.container, memory_id) for memory_id in request.ids]
    resolved = rows.resolve(tx, targets)
    bad = [(i, r) for i, r in enumerate(resolved) if isinstance(r, PalimpsestError)]
    if bad:
        # What is not there weighs more than what is in the wrong state.
        first = min((error for _, error in bad), key=lambda error: error.code)
        named = ", ".join(request.ids[i] for i, _ in bad[:20])
        raise PalimpsestError(
            first.reason,
            f"Nothing was forgotten; {len(bad)} ids are bad: {named}",
            violations=[Violation(f"ids[{i}]", error.message) for i, error in bad],
            resource=("palimpsest.v1.Memory", request.ids[bad[0][0]]),
        )
    return [stored for stored in resolved if isinstance(stored, Stored)]


def _check_few_enough(request: MemoryForgetMany, count: int) -> None:
    if count > request.max_forget:
        raise PalimpsestError(
            Reason.TOO_MANY_MATCHES,
            f"More than max_forget ({request.max_forget}) memories match; nothing was forgotten",
            resource=("max_forget", str(request.max_forget)),
        )


RESTORED = 500
"""Memories that a batch has at most: as many as one call forgets."""


def restore_many(
    tx: TenantTx, mutations: Sequence[Mutation[MemoryRestoreMany]]
) -> Sequence[Outcome[RestoreManyReceipt]]:
    """One mutation at a time."""
    mutation = mutations[0]
    request = mutation.payload
    ended = [
        stored
        for stored in rows.forgotten_by(tx, request.forget_batch_id)
        if stored.version.container == request.container
    ]
    result: Outcome[RestoreManyReceipt]
    if not ended:
        result = PalimpsestError(
            Reason.FORGET_BATCH_NOT_FOUND,
            "There is no such forget batch in the container",
            resource=("palimpsest.v1.ForgetBatch", request.forget_batch_id),
        )
    else:
        writes = MemoryWriteBatch(tx)
        receipts = []
        skipped = []
        for stored in ended:
            if stored.span.state_until <= tx.now:
                skipped.append(stored.version.id)
                continue
            undo = MemoryRestore(request.container, stored.version.id)
            receipts.append(restore_one(tx, mutation, writes, stored, undo))
        writes.flush()
        result = RestoreManyReceipt(tuple(receipts), tuple(skipped), tx.revision)
        tx.remember(mutation, result)
    return [result, *(DEFERRED for _ in mutations[1:])]
