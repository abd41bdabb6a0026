"""Writing memories: the rows of a round, gathered and then written kind by kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import bindparam, delete, exists, select, update

from service.core import memories as rules
from service.core.memories import End, Span, Version
from service.core.metadata import comparable
from service.core.model import (
    ChangeKind,
    Memory,
    MemoryReceipt,
    MemoryRestore,
)
from service.core.times import parse_instant
from service.ports.indexing import NO_EMBEDDER, IndexEntry
from service.storage import checksums
from service.storage.inserts import insert_rows, run_for_each, run_once
from service.storage.memories.rows import Stored
from service.storage.tables import memories, memory_spans
from service.storage.transactions import Mutation, TenantTx, json_list, pad_in_list

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
                "checksum",
            )
        }
    )
)


_CHAINS = select(
    memories.c.root_id,
    memories.c.id,
    exists()
    .where(
        memory_spans.c.tenant == memories.c.tenant,
        memory_spans.c.memory_id == memories.c.id,
        memory_spans.c.end_kind == int(End.OPEN),
    )
    .label("counted"),
).where(
    memories.c.tenant == bindparam("t"),
    memories.c.root_id.in_(bindparam("roots", expanding=True)),
)


_DELETE_VERSIONS = delete(memories).where(
    memories.c.tenant == bindparam("t"), memories.c.id.in_(bindparam("names", expanding=True))
)


_DELETE_SPANS = delete(memory_spans).where(
    memory_spans.c.tenant == bindparam("t"),
    memory_spans.c.memory_id.in_(bindparam("names", expanding=True)),
)


@dataclass(slots=True)
class Chain:
    """The ids of a memory's versions, and whether its container counts it."""

    root_id: str
    ids: list[str] = field(default_factory=list)
    counted: bool = False


class MemoryWriteBatch:
    """Rows of one round, gathered and then written kind by kind."""

    def __init__(self, tx: TenantTx) -> None:
        self.tx = tx
        self._versions: list[dict[str, object]] = []
        self._spans: list[dict[str, object]] = []
        self._closed: list[dict[str, object]] = []

    def add(self, version: Version, span: Span, revision: int, index: IndexEntry | None) -> None:
        """A new version and the span it is shown in."""
        date, events = version.temporal.document_date, version.temporal.event_dates
        moment = rules.date_of(version.temporal)
        self._versions.append(
            row := {
                "tenant": self.tx.tenant,
                "id": version.id,
                "container": version.container,
                "root_id": version.root_id,
                "parent_id": version.parent_id,
                "version": version.version,
                "content": version.content.encode(),
                "metadata": version.metadata,
                "comparable": comparable(version.metadata),
                "is_static": int(version.is_static),
                "document_date": date,
                "document_instant": None if moment is None else moment.instant,
                "event_dates": json_list(events),
                "event_instants": json_list(parse_instant(event) for event in events),
                "source_document_id": version.source_document_id,
                "create_time": version.create_time,
                "embedder": NO_EMBEDDER if index is None else index.embedder,
                "entry": None if index is None else index.entry,
                "vector": None if index is None else index.vector,
                "actor": version.actor or None,
            }
        )
        row["checksum"] = checksums.of_memory(self.tx.digester, row)
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
                "checksum": self._checksum(span, span.end_reason, span.forget_batch_id),
            }
        )

    def _checksum(self, span: Span, reason: str, batch: str | None) -> bytes:
        return checksums.of_span(
            self.tx.digester, span.forget_after, span.forget_reason, reason, batch
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
                "to_checksum": self._checksum(span, reason, batch),
            }
        )

    def flush(self) -> None:
        run_for_each(self.tx.conn, _CLOSE, self._closed)
        insert_rows(self.tx.conn, memories, self._versions)
        insert_rows(self.tx.conn, memory_spans, self._spans)


def entry_of(mutation: Mutation[object], number: int, version: Version) -> IndexEntry | None:
    """What makes the call's memory of this number findable; None: it is indexed later."""
    if not mutation.index:
        return None
    index, date = mutation.index[number], rules.date_of(version.temporal)
    if index.date == date or mutation.dated is None:
        return index
    return IndexEntry(mutation.dated(version.content, date), index.vector, index.embedder, date)


def receipt_of(tx: TenantTx, version: Version, span: Span, revision: int) -> MemoryReceipt:
    return receipt_of_view(tx, view_of(tx, version, span), revision)


def view_of(tx: TenantTx, version: Version, span: Span) -> Memory:
    """The version as it stands now."""
    return rules.view(tx.digester, version, span, over=span.over(tx.wall))


def receipt_of_view(tx: TenantTx, view: Memory, revision: int) -> MemoryReceipt:
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


def forget_one(
    tx: TenantTx,
    mutation: Mutation[object],
    writes: MemoryWriteBatch,
    stored: Stored,
    reason: str,
    batch: str | None,
) -> MemoryReceipt:
    version, span = stored.version, stored.span
    revision = tx.change(mutation, ChangeKind.MEMORY_FORGOTTEN, version.id, [version.container])
    if span.end is End.OPEN:
        tx.count(version.container, memories=-1)
    writes.close(version.id, span, End.FORGOTTEN, revision, reason=reason, batch=batch)
    ended = Span(
        span.shown_from,
        min(span.shown_until, tx.now),
        span.state_until,
        End.FORGOTTEN,
        span.forget_after,
        span.forget_reason,
        reason,
        batch,
    )
    return receipt_of(tx, version, ended, revision)


def restore_one(
    tx: TenantTx,
    mutation: Mutation[object],
    writes: MemoryWriteBatch,
    stored: Stored,
    request: MemoryRestore,
) -> MemoryReceipt:
    version, span = stored.version, stored.span
    again = rules.restored_span(request, span, tx.now, tx.wall)
    revision = tx.change(mutation, ChangeKind.MEMORY_RESTORED, version.id, [version.container])
    # An expiry that the sweeper has not recorded yet is still in the count.
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


def load_chains(tx: TenantTx, roots: Iterable[str]) -> dict[str, Chain]:
    """Chains by their roots, in the order of those."""
    chains = {root: Chain(root) for root in sorted(roots)}
    if chains:
        for row in tx.conn.execute(_CHAINS, {"t": tx.tenant, "roots": pad_in_list(chains)}):
            chain = chains[row.root_id]
            chain.ids.append(row.id)
            chain.counted = chain.counted or row.counted
    return chains


def record_deletion(tx: TenantTx, mutation: Mutation[object], container: str, chain: Chain) -> int:
    tx.count(container, memories=-1 if chain.counted else 0)
    return tx.change(mutation, ChangeKind.MEMORY_DELETED, chain.root_id, [container])


def delete_rows(tx: TenantTx, chains: Iterable[Chain]) -> None:
    """Remove chains, all their versions and spans."""
    names = pad_in_list(name for chain in chains for name in chain.ids)
    if names:
        for statement in (_DELETE_SPANS, _DELETE_VERSIONS):
            run_once(tx.conn, statement, {"t": tx.tenant, "names": names})
