"""Memories in batches: creating, updating, forgetting, restoring, deleting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, delete, insert, select, update

from service.core import ids
from service.core import memories as rules
from service.core.documents import DocumentState, check_visible
from service.core.errors import (
    PalimpsestError,
    Reason,
    Violation,
    document_not_found,
    memory_not_found,
)
from service.core.memories import End, Span, Version
from service.core.metadata import comparable, parse
from service.core.model import (
    ForgetManyReceipt,
    MemoriesReceipt,
    MemoryCreate,
    MemoryDelete,
    MemoryDeleteReceipt,
    MemoryForget,
    MemoryForgetMany,
    MemoryReceipt,
    MemoryRestore,
    MemoryRestoreMany,
    MemoryTarget,
    MemoryUpdate,
    RestoreManyReceipt,
    UpdatedMemory,
)
from service.core.times import parse_instant
from service.storage import documents as document_storage
from service.storage import memory_rows as rows
from service.storage.memory_rows import Stored
from service.storage.tables import memories, memory_spans
from service.storage.transactions import DEFERRED, Call, Outcome, TenantTx, json_list, padded

_CLOSE = (
    update(memory_spans)
    .where(
        memory_spans.c.tenant == bindparam("t"),
        memory_spans.c.memory_id == bindparam("memory"),
        memory_spans.c.shown_from == bindparam("span"),
    )
    .values(
        {
            name: bindparam(f"to_{name}")
            for name in (
                "shown_until",
                "state_until",
                "end_kind",
                "end_reason",
                "forget_batch_id",
                "revision",
            )
        }
    )
)
_CHAINS = select(memories.c.root_id, memories.c.id).where(
    memories.c.tenant == bindparam("t"),
    memories.c.root_id.in_(bindparam("roots", expanding=True)),
)
_DELETE_VERSIONS = delete(memories).where(
    memories.c.tenant == bindparam("t"), memories.c.id.in_(bindparam("names", expanding=True))
)
_OPEN_IN = select(memory_spans.c.memory_id).where(
    memory_spans.c.tenant == bindparam("t"),
    memory_spans.c.memory_id.in_(bindparam("names", expanding=True)),
    memory_spans.c.end_kind == int(End.OPEN),
)
_DELETE_SPANS = delete(memory_spans).where(
    memory_spans.c.tenant == bindparam("t"),
    memory_spans.c.memory_id.in_(bindparam("names", expanding=True)),
)


class Writes:
    """Rows of one round, gathered and then written kind by kind."""

    def __init__(self, tx: TenantTx) -> None:
        self.tx = tx
        self._versions: list[dict[str, object]] = []
        self._spans: list[dict[str, object]] = []
        self._closed: list[dict[str, object]] = []

    def add(self, version: Version, span: Span, revision: int) -> None:
        """A new version and the span it is shown in."""
        date, events = version.temporal.document_date, version.temporal.event_dates
        self._versions.append(
            {
                "tenant": self.tx.tenant,
                "id": version.id,
                "container": version.container,
                "root_id": version.root_id,
                "parent_id": version.parent_id,
                "version": version.version,
                "content": version.content.encode(),
                "metadata": version.metadata,
                "comparable": comparable(parse(version.metadata)),
                "is_static": version.is_static,
                "document_date": date,
                "document_instant": parse_instant(date) if date else None,
                "event_dates": json_list(events),
                "event_instants": json_list(parse_instant(event) for event in events),
                "source_document_id": version.source_document_id,
                "create_time": version.create_time,
            }
        )
        self.open(version, span, revision)

    def open(self, version: Version, span: Span, revision: int) -> None:
        """Another span of a version that is there."""
        self._spans.append(
            {
                "tenant": self.tx.tenant,
                "memory_id": version.id,
                "shown_from": span.shown_from,
                "container": version.container,
                "root_id": version.root_id,
                "shown_until": span.shown_until,
                "state_until": span.state_until,
                "end_kind": int(span.end),
                "forget_after": span.forget_after,
                "forget_reason": span.forget_reason,
                "end_reason": span.end_reason,
                "forget_batch_id": span.forget_batch_id,
                "content_hash": self.tx.digester.content(version.content),
                "revision": revision,
            }
        )

    def close(
        self,
        memory_id: str,
        span: Span,
        end: End,
        revision: int,
        *,
        reason: str = "",
        batch: str | None = None,
        state_until: int | None = None,
    ) -> None:
        """End a span now (or, when it has ended, say what its end was)."""
        self._closed.append(
            {
                "t": self.tx.tenant,
                "memory": memory_id,
                "span": span.shown_from,
                "to_shown_until": min(span.shown_until, self.tx.now),
                "to_state_until": state_until or span.state_until,
                "to_end_kind": int(end),
                "to_end_reason": reason,
                "to_forget_batch_id": batch,
                "to_revision": revision,
            }
        )

    def flush(self) -> None:
        for statement, values in (
            (_CLOSE, self._closed),
            (insert(memories), self._versions),
            (insert(memory_spans), self._spans),
        ):
            if values:
                self.tx.conn.execute(statement, values)


def receipt_of(tx: TenantTx, version: Version, span: Span, revision: int) -> MemoryReceipt:
    view = rules.view(tx.digester, version, span, tx.now)
    return MemoryReceipt(
        view.id,
        view.container,
        view.version,
        view.parent_id,
        view.root_id,
        view.etag,
        revision,
        view.is_latest,
        view.forgotten,
        view.create_time,
        view.forget_after,
        tx.now,
    )


def create(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: MemoryCreate, all or none. Answers MemoriesReceipt."""
    requests: list[MemoryCreate] = [call.payload for call in calls]
    names = {n.source_document_id for r in requests for n in r.memories if n.source_document_id}
    sources = document_storage.load(tx.conn, tx.tenant, names) if names else {}
    writes = Writes(tx)
    results: list[Outcome] = []
    for call, request in zip(calls, requests, strict=True):
        try:
            resolved = _sources(call, request, sources)
            for index, new in enumerate(request.memories):
                rules.check_ahead(new.forget_after, tx.now, f"memories[{index}].forget_after")
        except PalimpsestError as error:
            results.append(error)
            continue
        receipts = []
        for new, source in zip(request.memories, resolved, strict=True):
            version, span = rules.first_version(
                new, tx.new_id(ids.MEMORY), request.container, source, tx.now
            )
            revision = tx.change(call, "memory.created", version.id, [request.container])
            writes.add(version, span, revision)
            receipts.append(receipt_of(tx, version, span, revision))
        tx.count(request.container, memories=len(receipts))
        receipt = MemoriesReceipt(tuple(receipts), tx.revision)
        tx.remember(call, receipt)
        results.append(receipt)
    writes.flush()
    return results


def _sources(
    call: Call,
    request: MemoryCreate,
    sources: dict[str, DocumentState],
) -> list[str | None]:
    """Ids of the source documents; raises DOCUMENT_NOT_FOUND naming the field."""
    resolved: list[str | None] = []
    for index, new in enumerate(request.memories):
        if not new.source_document_id:
            resolved.append(None)
            continue
        state = sources.get(new.source_document_id)
        try:
            if state is None:
                raise document_not_found()
            check_visible(call.who, state.containers)
        except PalimpsestError as error:
            path = f"memories[{index}].source_document_id"
            raise PalimpsestError(
                error.reason,
                f"{path}: {error.message}",
                violations=[Violation(path, error.message)],
                resource=error.resource,
            ) from None
        resolved.append(state.id)
    return resolved


def update_memories(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: MemoryUpdate. Answers UpdatedMemory."""
    writes = Writes(tx)
    results: list[Outcome] = []
    for call, stored in _targets(tx, calls):
        if not isinstance(stored, Stored):
            results.append(stored)
            continue
        request: MemoryUpdate = call.payload
        try:
            rules.check_etag(
                request.etag, rules.view(tx.digester, stored.version, stored.span, tx.now)
            )
            version, span = rules.next_version(
                request, tx.new_id(ids.MEMORY), stored.version, stored.span, tx.now
            )
        except PalimpsestError as error:
            results.append(error)
            continue
        revision = tx.change(call, "memory.updated", version.id, [version.container])
        writes.close(stored.version.id, stored.span, End.SUPERSEDED, revision)
        writes.add(version, span, revision)
        receipt = receipt_of(tx, version, span, revision)
        tx.remember(call, receipt)
        results.append(UpdatedMemory(receipt, version.content))
    writes.flush()
    return results


def forget(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: MemoryForget. Answers MemoryReceipt."""
    writes = Writes(tx)
    results: list[Outcome] = []
    for call, stored in _targets(tx, calls):
        if not isinstance(stored, Stored):
            results.append(stored)
            continue
        request: MemoryForget = call.payload
        try:
            rules.check_etag(
                request.etag, rules.view(tx.digester, stored.version, stored.span, tx.now)
            )
        except PalimpsestError as error:
            results.append(error)
            continue
        receipt = _forget_one(tx, call, writes, stored, request.reason, None)
        tx.remember(call, receipt)
        results.append(receipt)
    writes.flush()
    return results


def _forget_one(
    tx: TenantTx, call: Call, writes: Writes, stored: Stored, reason: str, batch: str | None
) -> MemoryReceipt:
    version, span = stored.version, stored.span
    revision = tx.change(call, "memory.forgotten", version.id, [version.container])
    tx.count(version.container, memories=-1)
    writes.close(version.id, span, End.FORGOTTEN, revision, reason=reason, batch=batch)
    ended = Span(
        span.shown_from,
        tx.now,
        span.state_until,
        End.FORGOTTEN,
        span.forget_after,
        span.forget_reason,
        reason,
        batch,
    )
    return receipt_of(tx, version, ended, revision)


def _targets(
    tx: TenantTx, calls: Sequence[Call]
) -> list[tuple[Call, Stored | PalimpsestError | object]]:
    """Each call with its target; the later of two calls on one chain is deferred."""
    targets: list[MemoryTarget] = [call.payload.target for call in calls]
    taken: set[str] = set()
    paired: list[tuple[Call, Stored | PalimpsestError | object]] = []
    for call, stored in zip(calls, rows.resolve(tx, targets), strict=True):
        if isinstance(stored, Stored):
            if stored.version.root_id in taken:
                paired.append((call, DEFERRED))
                continue
            taken.add(stored.version.root_id)
        paired.append((call, stored))
    return paired


def restore(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: MemoryRestore. Answers MemoryReceipt."""
    requests: list[MemoryRestore] = [call.payload for call in calls]
    found = rows.current(tx, {request.id for request in requests})
    latest = rows.latest_ids(tx, {stored.version.root_id for stored in found.values()})
    writes = Writes(tx)
    taken: set[str] = set()
    results: list[Outcome] = []
    for call, request in zip(calls, requests, strict=True):
        stored = found.get(request.id)
        if stored is None or stored.version.container != request.container:
            results.append(memory_not_found())
            continue
        if stored.version.id in taken:
            results.append(DEFERRED)
            continue
        taken.add(stored.version.id)
        try:
            _check_restorable(tx, stored, latest)
            rules.check_etag(
                request.etag, rules.view(tx.digester, stored.version, stored.span, tx.now)
            )
            receipt = _restore_one(tx, call, writes, stored, request)
        except PalimpsestError as error:
            results.append(error)
            continue
        tx.remember(call, receipt)
        results.append(receipt)
    writes.flush()
    return results


def _check_restorable(tx: TenantTx, stored: Stored, latest: dict[str, str]) -> None:
    if stored.span.end is End.SUPERSEDED:
        raise rules.not_latest(latest[stored.version.root_id])
    if tx.now < stored.span.shown_until:
        raise PalimpsestError(
            Reason.MEMORY_NOT_FORGOTTEN,
            "The memory is not forgotten",
            resource=("palimpsest.v1.Memory", stored.version.id),
        )


def _restore_one(
    tx: TenantTx, call: Call, writes: Writes, stored: Stored, request: MemoryRestore
) -> MemoryReceipt:
    version, span = stored.version, stored.span
    again = rules.restored_span(request, span, tx.now)
    revision = tx.change(call, "memory.restored", version.id, [version.container])
    # An expiry that the sweeper has not met yet is still in the count.
    swept = span.end is not End.OPEN
    tx.count(version.container, memories=1 if swept else 0)
    writes.close(
        version.id,
        span,
        span.end if swept else End.EXPIRED,
        revision,
        reason=span.end_reason,
        batch=span.forget_batch_id,
        state_until=tx.now,
    )
    writes.open(version, again, revision)
    return receipt_of(tx, version, again, revision)


def delete_memories(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: MemoryDelete. Answers MemoryDeleteReceipt."""
    requests: list[MemoryDelete] = [call.payload for call in calls]
    found = rows.current(tx, {request.id for request in requests})
    chains = load_chains(tx, {stored.version.root_id for stored in found.values()})
    gone: set[str] = set()
    results: list[Outcome] = []
    for call, request in zip(calls, requests, strict=True):
        stored = found.get(request.id)
        if stored is None or stored.version.container != request.container:
            if not request.allow_missing:
                results.append(memory_not_found())
                continue
            receipt = MemoryDeleteReceipt("", 0, tx.revision)
        else:
            root = stored.version.root_id
            if root in gone:
                results.append(DEFERRED)
                continue
            try:
                rules.check_etag(
                    request.etag, rules.view(tx.digester, stored.version, stored.span, tx.now)
                )
            except PalimpsestError as error:
                results.append(error)
                continue
            gone.add(root)
            revisions = delete_chains(tx, call, request.container, {root: chains[root]})
            receipt = MemoryDeleteReceipt(root, len(chains[root]), revisions[root])
        tx.remember(call, receipt)
        results.append(receipt)
    return results


def load_chains(tx: TenantTx, roots: set[str]) -> dict[str, list[str]]:
    """The versions' ids of each chain."""
    chains: dict[str, list[str]] = {root: [] for root in roots}
    if roots:
        for row in tx.conn.execute(_CHAINS, {"t": tx.tenant, "roots": padded(sorted(roots))}):
            chains[row.root_id].append(row.id)
    return chains


def delete_chains(
    tx: TenantTx, call: Call, container: str, chains: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """Delete whole chains of one container; the answer has each root's revision."""
    names = padded(name for versions in chains.values() for name in versions)
    if not names:
        return {}
    counted = tx.conn.execute(_OPEN_IN, {"t": tx.tenant, "names": names}).all()
    tx.count(container, memories=-len(counted))
    for statement in (_DELETE_SPANS, _DELETE_VERSIONS):
        tx.conn.execute(statement, {"t": tx.tenant, "names": names})
    return {root: tx.change(call, "memory.deleted", root, [container]) for root in sorted(chains)}


def forget_many(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: MemoryForgetMany, all or none. Answers ForgetManyReceipt.

    One call at a time: what a filter matches depends on the call before it.
    """
    call = calls[0]
    request: MemoryForgetMany = call.payload
    result: Outcome
    try:
        stored = many_targets(tx, request)
    except PalimpsestError as error:
        result = error
    else:
        writes = Writes(tx)
        batch = tx.new_id(ids.FORGET_BATCH) if stored else ""
        for one in stored:
            _forget_one(tx, call, writes, one, request.reason, batch)
        writes.flush()
        result = ForgetManyReceipt(batch, tuple(s.version.id for s in stored), tx.revision)
        tx.remember(call, result)
    return [result, *(DEFERRED for _ in calls[1:])]


def preview_forget_many(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: MemoryForgetMany. Answers what it would forget, and forgets nothing."""
    results: list[Outcome] = []
    for call in calls:
        try:
            found = many_targets(tx, call.payload)
        except PalimpsestError as error:
            results.append(error)
        else:
            names = tuple(stored.version.id for stored in found)
            results.append(ForgetManyReceipt("", names, tx.revision))
    return results


def many_targets(tx: TenantTx, request: MemoryForgetMany) -> list[Stored]:
    """What ForgetMemories means; raises when an id is bad or too many match."""
    if request.filter is not None:
        found = rows.matching(
            tx.conn,
            tx.tenant,
            request.container,
            request.filter,
            tx.now,
            request.max_forget + 1,
        )
        if len(found) > request.max_forget:
            raise PalimpsestError(
                Reason.TOO_MANY_MATCHES,
                f"More than max_forget ({request.max_forget}) memories match; "
                "nothing was forgotten",
                resource=("max_forget", str(request.max_forget)),
            )
        return found
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


def restore_many(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: MemoryRestoreMany. Answers RestoreManyReceipt. One call at a time."""
    call = calls[0]
    request: MemoryRestoreMany = call.payload
    ended = [
        stored
        for stored in rows.forgotten_by(tx, request.forget_batch_id)
        if stored.version.container == request.container
    ]
    result: Outcome
    if not ended:
        result = PalimpsestError(
            Reason.FORGET_BATCH_NOT_FOUND,
            "There is no such forget batch in the container",
            resource=("palimpsest.v1.ForgetBatch", request.forget_batch_id),
        )
    else:
        writes = Writes(tx)
        receipts = []
        skipped = []
        for stored in ended:
            if stored.span.state_until <= tx.now:
                skipped.append(stored.version.id)
                continue
            undo = MemoryRestore(request.container, stored.version.id)
            receipts.append(_restore_one(tx, call, writes, stored, undo))
        writes.flush()
        result = RestoreManyReceipt(tuple(receipts), tuple(skipped), tx.revision)
        tx.remember(call, result)
    return [result, *(DEFERRED for _ in calls[1:])]
