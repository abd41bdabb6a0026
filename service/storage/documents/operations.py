"""Documents in batches: upserting, updating, deleting.

Every operation takes a list and runs a fixed number of statements for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    Principal,
    UpsertMode,
)
from service.storage.documents.names import Name, find, name_of
from service.storage.documents.rows import contents, load_named
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
    """Upserts of which no two can be of one document."""
    names = [_meant(mutation.principal, write) for mutation, write in items]
    states = load_named(tx.conn, tx.tenant, [name for name in names if name is not None])
    writes = DocumentWriteBatch(tx)
    results: list[DocumentReceipt | PalimpsestError] = []
    for (mutation, write), name in zip(items, names, strict=True):
        current = None if name is None else states.get(name)
        try:
            if isinstance(current, PalimpsestError):
                if write.mode is UpsertMode.CREATE_ONLY:
                    raise rules.custom_id_exists(write.custom_id or "")
                raise current
            draft = rules.draft_upsert(tx.digester, mutation.principal, write, current)
        except PalimpsestError as error:
            results.append(error)
            continue
        if current is None:
            results.append(writes.create(mutation, write.custom_id, draft))
        else:
            results.append(writes.change(mutation, current, draft))
    writes.flush()
    return results


def _meant(principal: Principal, write: DocumentWrite) -> Name | None:
    """What an upsert calls its document; None: it makes a new one."""
    if not write.custom_id:
        return None
    return name_of(principal, write.custom_id, write.containers[0] if write.containers else "")


class _Taken:
    """The custom ids that upserts of a round are about."""

    def __init__(self) -> None:
        self._homes: dict[str, set[str]] = {}

    def take(self, write: DocumentWrite) -> bool:
        """Whether the upsert meets none of the others; then it is one of them.

        One that names no container may be about any document of its custom id.
        """
        if not write.custom_id:
            return True
        home = write.containers[0] if write.containers else ""
        taken = self._homes.setdefault(write.custom_id, set())
        if taken and (not home or "" in taken or home in taken):
            return False
        taken.add(home)
        return True


def _upsert_all(
    tx: TenantTx, items: Sequence[tuple[Mutation[object], DocumentWrite]], *, in_order: bool
) -> list[DocumentReceipt | PalimpsestError]:
    """Upserts; those that meet on a custom id go one after the other.

    `in_order`: what follows the later of two that meet waits with it.
    """
    results: list[Any] = [None] * len(items)
    waiting = list(range(len(items)))
    while waiting:
        taken = _Taken()
        now: list[int] = []
        later: list[int] = []
        for index in waiting:
            waits = (in_order and later) or not taken.take(items[index][1])
            (later if waits else now).append(index)
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
    names = [name_of(m.principal, m.payload.id, m.payload.home) for m in mutations]
    states = load_named(tx.conn, tx.tenant, names)
    moves = _Moves(tx, zip(patches, (states.get(name) for name in names), strict=True))
    writes = DocumentWriteBatch(tx)
    results: list[Outcome[DocumentReceipt]] = []
    taken: set[str] = set()
    for mutation, patch, name in zip(mutations, patches, names, strict=True):
        current = states.get(name)
        if current is None or isinstance(current, PalimpsestError):
            results.append(current or document_not_found())
        elif current.id in taken:
            results.append(DEFERRED)
        else:
            taken.add(current.id)
            try:
                draft = rules.draft_update(tx.digester, mutation.principal, patch, current)
                if not moves.claim(patch, current):
                    results.append(DEFERRED)
                    continue
            except PalimpsestError as error:
                results.append(error)
                continue
            receipt = writes.change(mutation, current, draft)
            tx.remember(mutation, receipt)
            results.append(receipt)
    writes.flush()
    return results


class _Moves:
    """Updates of a batch that give a document with a custom id another home."""

    def __init__(
        self,
        tx: TenantTx,
        updates: Iterable[tuple[DocumentPatch, DocumentState | PalimpsestError | None]],
    ) -> None:
        places = (
            self._place(patch, state)
            for patch, state in updates
            if isinstance(state, DocumentState)
        )
        wanted = [place for place in places if place is not None]
        self._taken = find(tx.conn, tx.tenant, wanted) if wanted else {}
        self._claimed: set[Name] = set()

    @staticmethod
    def _place(patch: DocumentPatch, current: DocumentState) -> Name | None:
        if not (current.custom_id and patch.containers) or patch.containers[0] == current.home:
            return None
        return Name(current.custom_id, patch.containers[0])

    def claim(self, patch: DocumentPatch, current: DocumentState) -> bool:
        """False if another update of the batch moves a document there.

        Raises:
            PalimpsestError: CUSTOM_ID_EXISTS.
        """
        place = self._place(patch, current)
        if place is None:
            return True
        if place in self._taken:
            raise rules.custom_id_exists(place.text)
        if place in self._claimed:
            return False
        self._claimed.add(place)
        return True


def append_messages(
    tx: TenantTx, mutations: Sequence[Mutation[MessagesAppend]]
) -> Sequence[Outcome[AppendReceipt]]:
    appends = [mutation.payload for mutation in mutations]
    names = [_conversation(m.principal, m.payload) for m in mutations]
    states = load_named(tx.conn, tx.tenant, names)
    there = {state.id for state in states.values() if isinstance(state, DocumentState)}
    stored = contents(tx.conn, tx.tenant, there)
    writes = DocumentWriteBatch(tx)
    results: list[Outcome[AppendReceipt]] = []
    taken: set[str] = set()
    for mutation, append, name in zip(mutations, appends, names, strict=True):
        current = states.get(name)
        if isinstance(current, PalimpsestError):
            results.append(current)
            continue
        # Two that begin a conversation of one custom id may do it in one home.
        key = append.id if current is None else current.id
        if key in taken:
            results.append(DEFERRED)
            continue
        taken.add(key)
        try:
            receipt = _append(tx, mutation, writes, current, stored.get(key, b""))
        except PalimpsestError as error:
            results.append(error)
            continue
        tx.remember(mutation, receipt)
        results.append(receipt)
    writes.flush()
    return results


def _conversation(principal: Principal, append: MessagesAppend) -> Name:
    home = append.home
    if not (home or is_document_id(append.id)) and append.containers:
        home = append.containers[0]
    return name_of(principal, append.id, home)


def _append(
    tx: TenantTx,
    mutation: Mutation[MessagesAppend],
    writes: DocumentWriteBatch,
    current: DocumentState | None,
    content: bytes,
) -> AppendReceipt:
    append = mutation.payload
    if current is None:
        if not append.create_if_missing or is_document_id(append.id):
            raise document_not_found()
        write = DocumentWrite(
            encode(append.messages),
            append.id,
            append.containers or ((append.home,) if append.home else ()),
            metadata=append.metadata,
            title=append.title,
            etag=append.etag,
            kind=ContentKind.CONVERSATION,
        )
        draft = rules.draft_upsert(tx.digester, mutation.principal, write, None)
        return AppendReceipt(writes.create(mutation, append.id, draft), len(append.messages))
    rules.check_writable(mutation.principal, current.containers)
    patch, count = rules.appended(append, current, content)
    draft = rules.draft_update(tx.digester, mutation.principal, patch, current)
    return AppendReceipt(writes.change(mutation, current, draft), count)


def delete_documents(
    tx: TenantTx, mutations: Sequence[Mutation[DocumentDelete]]
) -> Sequence[Outcome[DeleteReceipt]]:
    requested = [mutation.payload for mutation in mutations]
    names = [name_of(m.principal, m.payload.id, m.payload.home) for m in mutations]
    states = load_named(tx.conn, tx.tenant, names)
    results: list[Outcome[DeleteReceipt]] = []
    gone: dict[str, DocumentState] = {}
    for mutation, item, name in zip(mutations, requested, names, strict=True):
        current = states.get(name)
        if isinstance(current, PalimpsestError):
            results.append(current)
            continue
        if current is not None and current.id in gone:
            results.append(DEFERRED)
            continue
        try:
            if current is None:
                raise document_not_found()
            rules.check_writable(mutation.principal, current.containers)
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
