"""Documents in batches: upserting, updating, deleting.

Every operation takes a list and runs a fixed number of statements for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from service.core import documents as rules
from service.core.conversations import encode
from service.core.documents import DocumentState
from service.core.errors import PalimpsestError, document_not_found
from service.core.ids import is_document_id
from service.core.model import (
    AppendReceipt,
    BatchReceipt,
    ContentKind,
    DeleteReceipt,
    DocumentDelete,
    DocumentPatch,
    DocumentReceipt,
    DocumentWrite,
    ItemFailure,
    MessagesAppend,
)
from service.storage.documents.rows import contents, load
from service.storage.documents.writes import DocumentWriteBatch, delete_rows, record_deletion
from service.storage.transactions import (
    DEFERRED,
    Mutation,
    Outcome,
    TenantTx,
)


def _upsert_round(
    tx: TenantTx, items: Sequence[tuple[Mutation[object], DocumentWrite]]
) -> list[DocumentReceipt | PalimpsestError]:
    """Upserts of different custom ids."""
    names = {write.custom_id for _, write in items if write.custom_id}
    states = load(tx.conn, tx.tenant, names) if names else {}
    writes = DocumentWriteBatch(tx)
    results: list[DocumentReceipt | PalimpsestError] = []
    for mutation, write in items:
        current = states.get(write.custom_id) if write.custom_id else None
        try:
            draft = rules.draft_upsert(tx.digester, mutation.who, write, current)
        except PalimpsestError as error:
            results.append(error)
            continue
        if current is None:
            results.append(writes.create(mutation, write.custom_id, draft))
        else:
            results.append(writes.change(mutation, current, draft))
    writes.flush()
    return results


def _upsert_all(
    tx: TenantTx, items: Sequence[tuple[Mutation[object], DocumentWrite]], *, in_order: bool
) -> list[DocumentReceipt | PalimpsestError]:
    """Upserts; those that meet on a custom id go one after the other.

    `in_order`: what follows the later of two that meet waits with it.
    """
    results: list[Any] = [None] * len(items)
    waiting = list(range(len(items)))
    while waiting:
        taken: set[str] = set()
        now: list[int] = []
        later: list[int] = []
        for index in waiting:
            custom_id = items[index][1].custom_id
            if custom_id in taken or (in_order and later):
                later.append(index)
            else:
                now.append(index)
                if custom_id:
                    taken.add(custom_id)
        done = _upsert_round(tx, [items[i] for i in now])
        for index, result in zip(now, done, strict=True):
            results[index] = result
        waiting = later
    return results


def upsert(
    tx: TenantTx, mutations: Sequence[Mutation[DocumentWrite]]
) -> Sequence[Outcome[DocumentReceipt]]:
    results = _upsert_all(
        tx, [(mutation, mutation.payload) for mutation in mutations], in_order=False
    )
    for mutation, result in zip(mutations, results, strict=True):
        if not isinstance(result, PalimpsestError):
            tx.remember(mutation, result)
    return results


@dataclass(frozen=True, slots=True)
class BatchStep:
    """Part of a batch of writes, which are applied oldest date first.

    Args:
        writes: All of the batch, in the caller's order.
        at_most: How many of them are applied in this step.
        before: What those came to that were applied in earlier steps.
    """

    writes: Sequence[DocumentWrite]
    at_most: int
    before: tuple[DocumentReceipt | ItemFailure, ...] = ()


def batch_upsert(
    tx: TenantTx, mutations: Sequence[Mutation[BatchStep]]
) -> Sequence[Outcome[BatchReceipt | BatchStep]]:
    """Answers the receipt, or the next step.

    A request_id continues where the receipt that is kept for it ends.
    """
    orders: list[list[int]] = []
    befores: list[tuple[DocumentReceipt | ItemFailure, ...]] = []
    items: list[tuple[Mutation[object], DocumentWrite]] = []
    for mutation in mutations:
        step = mutation.payload
        order = _oldest_first(step.writes)
        kept = mutation.progress
        before = tuple(kept.outcomes) if isinstance(kept, BatchReceipt) else step.before
        orders.append(order)
        befores.append(before)
        part = order[len(before) : len(before) + step.at_most]
        items.extend((mutation, step.writes[index]) for index in part)
    results = iter(_upsert_all(tx, items, in_order=True))
    answers: list[Outcome[BatchReceipt | BatchStep]] = []
    for mutation, order, before in zip(mutations, orders, befores, strict=True):
        count = min(mutation.payload.at_most, len(order) - len(before))
        done = before + tuple(
            _item_failure(result) if isinstance(result, PalimpsestError) else result
            for result in islice(results, count)
        )
        complete = len(done) == len(order)
        if complete:
            ordered = dict(zip(order, done, strict=True))
            receipt = BatchReceipt(tuple(ordered[i] for i in range(len(order))), tx.revision)
            answers.append(receipt)
        else:
            receipt = BatchReceipt(done, tx.revision)
            answers.append(replace(mutation.payload, before=done))
        tx.remember(mutation, receipt, complete=complete)
    return answers


def _item_failure(error: PalimpsestError) -> ItemFailure:
    return ItemFailure(error.reason.name, error.message)


def _oldest_first(writes: Sequence[DocumentWrite]) -> list[int]:
    """Places in the list, by document date; those without one last."""

    def key(index: int) -> tuple[bool, int]:
        date = writes[index].document_date
        return (False, date) if isinstance(date, int) else (True, 0)

    return sorted(range(len(writes)), key=key)


def update_documents(
    tx: TenantTx, mutations: Sequence[Mutation[DocumentPatch]]
) -> Sequence[Outcome[DocumentReceipt]]:
    patches = [mutation.payload for mutation in mutations]
    states = load(tx.conn, tx.tenant, (patch.id for patch in patches))
    writes = DocumentWriteBatch(tx)
    results: list[Outcome[DocumentReceipt]] = []
    taken: set[str] = set()
    for mutation, patch in zip(mutations, patches, strict=True):
        current = states.get(patch.id)
        if current is None:
            results.append(document_not_found())
        elif current.id in taken:
            results.append(DEFERRED)
        else:
            taken.add(current.id)
            try:
                draft = rules.draft_update(tx.digester, mutation.who, patch, current)
            except PalimpsestError as error:
                results.append(error)
                continue
            receipt = writes.change(mutation, current, draft)
            tx.remember(mutation, receipt)
            results.append(receipt)
    writes.flush()
    return results


def append_messages(
    tx: TenantTx, mutations: Sequence[Mutation[MessagesAppend]]
) -> Sequence[Outcome[AppendReceipt]]:
    appends = [mutation.payload for mutation in mutations]
    states = load(tx.conn, tx.tenant, (append.id for append in appends))
    stored = contents(tx.conn, tx.tenant, (state.id for state in states.values()))
    writes = DocumentWriteBatch(tx)
    results: list[Outcome[AppendReceipt]] = []
    taken: set[str] = set()
    for mutation, append in zip(mutations, appends, strict=True):
        current = states.get(append.id)
        name = append.id if current is None else current.id
        if name in taken:
            results.append(DEFERRED)
            continue
        taken.add(name)
        try:
            receipt = _append(tx, mutation, writes, current, stored.get(name, b""))
        except PalimpsestError as error:
            results.append(error)
            continue
        tx.remember(mutation, receipt)
        results.append(receipt)
    writes.flush()
    return results


def _append(
    tx: TenantTx,
    mutation: Mutation[MessagesAppend],
    writes: DocumentWriteBatch,
    current: DocumentState | None,
    content: bytes,
) -> AppendReceipt:
    append = mutation.payload
    creates = append.create_if_missing and not is_document_id(append.id)
    if current is None:
        if not creates:
            raise document_not_found()
        write = DocumentWrite(
            encode(append.messages),
            append.id,
            append.containers,
            metadata=append.metadata,
            title=append.title,
            etag=append.etag,
            kind=ContentKind.CONVERSATION,
        )
        draft = rules.draft_upsert(tx.digester, mutation.who, write, None)
        return AppendReceipt(writes.create(mutation, append.id, draft), len(append.messages))
    if creates and not rules.is_visible(mutation.who, current.containers):
        raise rules.in_other_container(append.id)
    rules.check_writable(mutation.who, current.containers)
    patch, count = rules.appended(append, current, content)
    draft = rules.draft_update(tx.digester, mutation.who, patch, current)
    return AppendReceipt(writes.change(mutation, current, draft), count)


def delete_documents(
    tx: TenantTx, mutations: Sequence[Mutation[DocumentDelete]]
) -> Sequence[Outcome[DeleteReceipt]]:
    requested = [mutation.payload for mutation in mutations]
    states = load(tx.conn, tx.tenant, (item.id for item in requested))
    results: list[Outcome[DeleteReceipt]] = []
    gone: dict[str, DocumentState] = {}
    for mutation, item in zip(mutations, requested, strict=True):
        current = states.get(item.id)
        if current is not None and current.id in gone:
            results.append(DEFERRED)
            continue
        try:
            if current is None:
                raise document_not_found()
            rules.check_writable(mutation.who, current.containers)
            rules.check_etag(item.etag, current.etag)
        except PalimpsestError as error:
            if not (item.allow_missing and error.reason.name == "DOCUMENT_NOT_FOUND"):
                results.append(error)
                continue
            receipt = DeleteReceipt("", tx.revision)
        else:
            gone[current.id] = current
            receipt = DeleteReceipt(current.id, record_deletion(tx, mutation, current))
        tx.remember(mutation, receipt)
        results.append(receipt)
    delete_rows(tx, list(gone.values()))
    return results
