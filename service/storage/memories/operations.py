"""Memories in batches: creating, updating, forgetting, restoring, deleting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

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
from service.core.memories import End
from service.core.model import (
    ChangeKind,
    MemoriesReceipt,
    Memory,
    MemoryCreate,
    MemoryDelete,
    MemoryDeleteReceipt,
    MemoryForget,
    MemoryReceipt,
    MemoryRestore,
    MemoryUpdate,
    Principal,
    UpdatedMemory,
)
from service.storage.documents.names import Name, name_of
from service.storage.documents.rows import load_named
from service.storage.memories import rows
from service.storage.memories.rows import Stored
from service.storage.memories.sources import visible_sources
from service.storage.memories.writes import (
    Chain,
    MemoryWriteBatch,
    delete_rows,
    entry_of,
    forget_one,
    load_chains,
    receipt_of,
    receipt_of_view,
    record_deletion,
    restore_one,
    view_of,
)
from service.storage.transactions import DEFERRED, Mutation, Outcome, TenantTx


def create(
    tx: TenantTx, mutations: Sequence[Mutation[MemoryCreate]]
) -> Sequence[Outcome[MemoriesReceipt]]:
    """Each creates all of its memories or none."""
    requests = [mutation.payload for mutation in mutations]
    names = [
        name
        for mutation in mutations
        for new in mutation.payload.memories
        for name in _source_names(mutation, new.source_document_id)
    ]
    sources = load_named(tx.conn, tx.tenant, names)
    writes = MemoryWriteBatch(tx)
    results: list[Outcome[MemoriesReceipt]] = []
    for mutation, request in zip(mutations, requests, strict=True):
        try:
            resolved = _sources(mutation, request, sources)
            for index, new in enumerate(request.memories):
                rules.check_ahead(new.forget_after, tx.wall, f"memories[{index}].forget_after")
        except PalimpsestError as error:
            results.append(error)
            continue
        receipts = []
        for number, (new, source) in enumerate(zip(request.memories, resolved, strict=True)):
            version, span = rules.first_version(
                new,
                tx.new_id(ids.MEMORY),
                request.container,
                source,
                tx.now,
                actor=mutation.principal.actor,
            )
            revision = tx.change(
                mutation, ChangeKind.MEMORY_CREATED, version.id, [request.container]
            )
            writes.add(version, span, revision, entry_of(mutation, number, version))
            receipts.append(receipt_of(tx, version, span, revision))
        tx.count(request.container, memories=len(receipts))
        receipt = MemoriesReceipt(tuple(receipts), tx.revision)
        tx.remember(mutation, receipt)
        results.append(receipt)
    writes.flush()
    return results


def _source_names(mutation: Mutation[MemoryCreate], source: str | None) -> list[Name]:
    """What a source is looked for by, in order: a custom id first in the memories' container."""
    if not source:
        return []
    name = name_of(mutation.principal, source)
    if ids.is_document_id(source):
        return [name]
    return [Name(source, mutation.payload.container), name]


def _sources(
    mutation: Mutation[MemoryCreate],
    request: MemoryCreate,
    sources: Mapping[Name, DocumentState | PalimpsestError],
) -> list[str | None]:
    """Ids of the source documents; raises, naming the field, DOCUMENT_NOT_FOUND and
    AMBIGUOUS_CUSTOM_ID."""
    resolved: list[str | None] = []
    for index, new in enumerate(request.memories):
        if not new.source_document_id:
            resolved.append(None)
            continue
        names = _source_names(mutation, new.source_document_id)
        state = next((sources[name] for name in names if name in sources), None)
        try:
            if isinstance(state, PalimpsestError):
                raise state
            if state is None:
                raise document_not_found()
            check_visible(mutation.principal, state.containers)
        except PalimpsestError as error:
            path = f"memories[{index}].source_document_id"
            raise PalimpsestError(
                error.reason,
                f"{path}: {error.message}",
                violations=[Violation(path, error.message)],
                resource=error.resource,
                metadata=error.metadata,
            ) from None
        resolved.append(state.id)
    return resolved


def update_memories(
    tx: TenantTx, mutations: Sequence[Mutation[MemoryUpdate]]
) -> Sequence[Outcome[UpdatedMemory]]:
    writes = MemoryWriteBatch(tx)
    results: list[Outcome[UpdatedMemory]] = []
    made: list[tuple[int, MemoryReceipt]] = []
    read: list[tuple[Principal, Memory]] = []
    for mutation, stored in _targets(tx, mutations):
        if not isinstance(stored, Stored):
            results.append(stored)
            continue
        request = mutation.payload
        try:
            rules.check_etag(tx.digester, request.etag, stored.version, stored.span, tx.wall)
            version, span = rules.next_version(
                request,
                tx.new_id(ids.MEMORY),
                stored.version,
                stored.span,
                tx.now,
                tx.wall,
                actor=mutation.principal.actor,
            )
        except PalimpsestError as error:
            results.append(error)
            continue
        revision = tx.change(mutation, ChangeKind.MEMORY_UPDATED, version.id, [version.container])
        if stored.span.end is not End.OPEN:
            # Recorded as expired by a clock that was ahead, and counted out with that.
            tx.count(version.container, memories=1)
        writes.close(stored.version.id, stored.span, End.SUPERSEDED, revision)
        writes.add(version, span, revision, entry_of(mutation, 0, version))
        memory = view_of(tx, version, span)
        receipt = receipt_of_view(tx, memory, revision)
        tx.remember(mutation, receipt)
        made.append((len(results), receipt))
        read.append((mutation.principal, memory))
        results.append(UpdatedMemory(receipt, memory))
    writes.flush()
    for (index, receipt), memory in zip(made, visible_sources(tx.conn, read), strict=True):
        results[index] = UpdatedMemory(receipt, memory)
    return results


def forget(
    tx: TenantTx, mutations: Sequence[Mutation[MemoryForget]]
) -> Sequence[Outcome[MemoryReceipt]]:
    writes = MemoryWriteBatch(tx)
    results: list[Outcome[MemoryReceipt]] = []
    for mutation, stored in _targets(tx, mutations):
        if not isinstance(stored, Stored):
            results.append(stored)
            continue
        request = mutation.payload
        try:
            rules.check_etag(tx.digester, request.etag, stored.version, stored.span, tx.wall)
        except PalimpsestError as error:
            results.append(error)
            continue
        receipt = forget_one(tx, mutation, writes, stored, request.reason, None)
        tx.remember(mutation, receipt)
        results.append(receipt)
    writes.flush()
    return results


T = TypeVar("T", MemoryUpdate, MemoryForget)


def _targets(
    tx: TenantTx, mutations: Sequence[Mutation[T]]
) -> list[tuple[Mutation[T], Outcome[Stored]]]:
    """Each mutation with its target; the later of two on one chain is deferred."""
    targets = [mutation.payload.target for mutation in mutations]
    taken: set[str] = set()
    paired: list[tuple[Mutation[T], Outcome[Stored]]] = []
    for mutation, stored in zip(mutations, rows.resolve(tx, targets), strict=True):
        if isinstance(stored, Stored):
            if stored.version.root_id in taken:
                paired.append((mutation, DEFERRED))
                continue
            taken.add(stored.version.root_id)
        paired.append((mutation, stored))
    return paired


def restore(
    tx: TenantTx, mutations: Sequence[Mutation[MemoryRestore]]
) -> Sequence[Outcome[MemoryReceipt]]:
    requests = [mutation.payload for mutation in mutations]
    found = rows.current(tx, {request.id for request in requests})
    latest = rows.latest_ids(tx, {stored.version.root_id for stored in found.values()})
    writes = MemoryWriteBatch(tx)
    taken: set[str] = set()
    results: list[Outcome[MemoryReceipt]] = []
    for mutation, request in zip(mutations, requests, strict=True):
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
            rules.check_etag(tx.digester, request.etag, stored.version, stored.span, tx.wall)
            receipt = restore_one(tx, mutation, writes, stored, request)
        except PalimpsestError as error:
            results.append(error)
            continue
        tx.remember(mutation, receipt)
        results.append(receipt)
    writes.flush()
    return results


def _check_restorable(tx: TenantTx, stored: Stored, latest: dict[str, str]) -> None:
    if stored.span.end is End.SUPERSEDED:
        raise rules.not_latest(latest[stored.version.root_id])
    if not stored.span.over(tx.wall):
        raise PalimpsestError(
            Reason.MEMORY_NOT_FORGOTTEN,
            "The memory is not forgotten",
            resource=("palimpsest.v1.Memory", stored.version.id),
        )


def delete_memories(
    tx: TenantTx, mutations: Sequence[Mutation[MemoryDelete]]
) -> Sequence[Outcome[MemoryDeleteReceipt]]:
    requests = [mutation.payload for mutation in mutations]
    found = rows.current(tx, {request.id for request in requests})
    chains = load_chains(tx, {stored.version.root_id for stored in found.values()})
    gone: dict[str, Chain] = {}
    results: list[Outcome[MemoryDeleteReceipt]] = []
    for mutation, request in zip(mutations, requests, strict=True):
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
                rules.check_etag(tx.digester, request.etag, stored.version, stored.span, tx.wall)
            except PalimpsestError as error:
                results.append(error)
                continue
            gone[root] = chain = chains[root]
            revision = record_deletion(tx, mutation, request.container, chain)
            receipt = MemoryDeleteReceipt(root, len(chain.ids), revision)
        tx.remember(mutation, receipt)
        results.append(receipt)
    delete_rows(tx, gone.values())
    return results
