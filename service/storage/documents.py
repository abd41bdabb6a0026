"""Documents in batches: every operation takes a list and a fixed number of statements."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from service.core import documents as rules
from service.core import ids
from service.core.documents import DocumentState, Draft
from service.core.errors import PalimpsestError, document_not_found
from service.core.metadata import comparable, parse
from service.core.model import (
    BatchReceipt,
    DeleteReceipt,
    Document,
    DocumentDelete,
    DocumentPatch,
    DocumentReceipt,
    DocumentWrite,
    ItemFailure,
    Principal,
    Status,
)
from service.storage import dialects
from service.storage.tables import (
    document_containers,
    document_contents,
    documents,
    jobs,
    memories,
)
from service.storage.transactions import (
    DEFERRED,
    Call,
    Outcome,
    TenantTx,
    json_list,
    padded,
)

_STATE = select(
    documents.c.id,
    documents.c.custom_id,
    documents.c.content_hash,
    documents.c.metadata,
    documents.c.containers,
    documents.c.title,
    documents.c.document_date,
    documents.c.status,
    documents.c.etag,
    documents.c.revision,
    documents.c.create_time,
    documents.c.update_time,
).where(documents.c.tenant == bindparam("t"))
_BY_ID = _STATE.where(documents.c.id.in_(bindparam("names", expanding=True)))
_BY_CUSTOM_ID = _STATE.where(documents.c.custom_id.in_(bindparam("names", expanding=True)))

READ_COLUMNS = (
    documents.c.id,
    documents.c.custom_id,
    documents.c.metadata,
    documents.c.containers,
    documents.c.status,
    documents.c.title,
    documents.c.document_date,
    documents.c.etag,
    documents.c.revision,
    documents.c.create_time,
    documents.c.update_time,
    documents.c.error,
    documents.c.attempts,
)
WITH_CONTENT = documents.join(
    document_contents,
    (document_contents.c.tenant == documents.c.tenant)
    & (document_contents.c.document_id == documents.c.id),
)
_READ = (
    select(*READ_COLUMNS, document_contents.c.content)
    .select_from(WITH_CONTENT)
    .where(documents.c.tenant == bindparam("t"))
)
_READ_BY_ID = _READ.where(documents.c.id.in_(bindparam("names", expanding=True)))
_READ_BY_CUSTOM_ID = _READ.where(documents.c.custom_id.in_(bindparam("names", expanding=True)))

_UPDATE = (
    update(documents)
    .where(documents.c.tenant == bindparam("t"), documents.c.id == bindparam("document"))
    .values(
        {
            name: bindparam(f"to_{name}")
            for name in (
                "content_hash",
                "metadata",
                "comparable",
                "containers",
                "title",
                "document_date",
                "status",
                "etag",
                "revision",
                "update_time",
                "error",
                "attempts",
            )
        }
    )
)
_UPDATE_CONTENT = (
    update(document_contents)
    .where(
        document_contents.c.tenant == bindparam("t"),
        document_contents.c.document_id == bindparam("document"),
    )
    .values(content=bindparam("to_content"))
)
_MOVE = (
    update(document_containers)
    .where(
        document_containers.c.tenant == bindparam("t"),
        document_containers.c.container == bindparam("in_container"),
        document_containers.c.document_id == bindparam("document"),
    )
    .values(revision=bindparam("to_revision"))
)
_LEAVE = delete(document_containers).where(
    document_containers.c.tenant == bindparam("t"),
    document_containers.c.container == bindparam("in_container"),
    document_containers.c.document_id == bindparam("document"),
)
_UNLINK = (
    update(memories)
    .where(
        memories.c.tenant == bindparam("t"),
        memories.c.source_document_id.in_(bindparam("names", expanding=True)),
    )
    .values(source_document_id=None)
)
_DELETE_ROWS = (
    delete(documents).where(
        documents.c.tenant == bindparam("t"),
        documents.c.id.in_(bindparam("names", expanding=True)),
    ),
    delete(document_contents).where(
        document_contents.c.tenant == bindparam("t"),
        document_contents.c.document_id.in_(bindparam("names", expanding=True)),
    ),
    delete(jobs).where(
        jobs.c.tenant == bindparam("t"),
        jobs.c.document_id.in_(bindparam("names", expanding=True)),
    ),
)


_STATUS = {int(status): status for status in Status}


@lru_cache(maxsize=4096)
def _tags(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def document_of(row: Any, content: str | None, visible: frozenset[str] | None) -> Document:
    """A row that begins with READ_COLUMNS as a document, with visible containers."""
    (
        document_id,
        custom_id,
        metadata,
        containers,
        status,
        title,
        document_date,
        etag,
        revision,
        create_time,
        update_time,
        error,
        attempts,
    ) = row[: len(READ_COLUMNS)]
    tags = _tags(containers)
    if visible is not None:
        tags = tuple(tag for tag in tags if tag in visible)
    return Document(
        document_id,
        custom_id,
        content,
        metadata,
        tags,
        _STATUS[status],
        title,
        document_date,
        etag,
        revision,
        create_time,
        update_time,
        error,
        attempts,
    )


def read(
    conn: Connection, wanted: Sequence[tuple[Principal, str]]
) -> list[Document | PalimpsestError]:
    """Each (principal, id or custom id): the document with its content, or NOT_FOUND."""
    found: dict[tuple[int, str], Any] = {}
    row: Any
    for tenant in {who.tenant for who, _ in wanted}:
        names = {name for who, name in wanted if who.tenant == tenant}
        by_id = [name for name in names if ids.is_document_id(name)]
        by_custom_id = [name for name in names if not ids.is_document_id(name)]
        if by_id:
            for row in conn.execute(_READ_BY_ID, {"t": tenant, "names": padded(by_id)}):
                found[tenant, row.id] = row
        if by_custom_id:
            for row in conn.execute(
                _READ_BY_CUSTOM_ID, {"t": tenant, "names": padded(by_custom_id)}
            ):
                found[tenant, row.custom_id] = row
    results: list[Document | PalimpsestError] = []
    for who, name in wanted:
        row = found.get((who.tenant, name))
        if row is None:
            results.append(document_not_found())
            continue
        document = document_of(row, str(row.content, "utf-8"), who.containers)
        results.append(document if document.containers else document_not_found())
    return results


def load(conn: Connection, tenant: int, names: Iterable[str]) -> dict[str, DocumentState]:
    """States by the name they were asked for, which is an id or a custom id."""
    by_id: set[str] = set()
    by_custom_id: set[str] = set()
    for name in names:
        (by_id if ids.is_document_id(name) else by_custom_id).add(name)
    states: dict[str, DocumentState] = {}
    if by_id:
        for row in conn.execute(_BY_ID, {"t": tenant, "names": padded(by_id)}):
            states[row.id] = _state_of(row)
    if by_custom_id:
        for row in conn.execute(_BY_CUSTOM_ID, {"t": tenant, "names": padded(by_custom_id)}):
            states[row.custom_id] = _state_of(row)
    return states


def _state_of(row: Any) -> DocumentState:
    return DocumentState(
        row.id,
        row.custom_id,
        bytes(row.content_hash),
        row.metadata,
        _tags(row.containers),
        row.title,
        row.document_date,
        _STATUS[row.status],
        row.etag,
        row.revision,
        row.create_time,
        row.update_time,
    )


class _Writes:
    """Rows of one round, gathered and then written kind by kind."""

    def __init__(self, tx: TenantTx) -> None:
        self.tx = tx
        self.rows: dict[str, list[dict[str, object]]] = {
            name: []
            for name in ("new", "contents", "joins", "changed", "recontents", "moves", "leaves")
        }
        self.jobs: list[dict[str, object]] = []

    def create(self, call: Call, custom_id: str | None, draft: Draft) -> DocumentReceipt:
        tx = self.tx
        document_id = tx.new_id(ids.DOCUMENT)
        revision = tx.change(call, "document.created", document_id, draft.containers)
        self.rows["new"].append(
            {
                "tenant": tx.tenant,
                "id": document_id,
                "custom_id": custom_id,
                **_draft_columns(draft),
                "status": Status.QUEUED,
                "revision": revision,
                "create_time": tx.now,
                "update_time": tx.now,
            }
        )
        self.rows["contents"].append(
            {
                "tenant": tx.tenant,
                "document_id": document_id,
                "content": (draft.content or "").encode(),
            }
        )
        for container in draft.containers:
            self._join(container, document_id, revision)
        self._queue(document_id, revision)
        return DocumentReceipt(
            document_id, True, True, Status.QUEUED, draft.etag, revision, tx.now, tx.now
        )

    def change(self, call: Call, current: DocumentState, draft: Draft) -> DocumentReceipt:
        if not draft.queue:
            return _receipt(current, changed=False)
        tx = self.tx
        before, after = set(current.containers), set(draft.containers)
        revision = tx.change(call, "document.updated", current.id, sorted(before | after))
        self.rows["changed"].append(
            {
                "t": tx.tenant,
                "document": current.id,
                **{f"to_{name}": value for name, value in _draft_columns(draft).items()},
                "to_status": Status.QUEUED,
                "to_revision": revision,
                "to_update_time": tx.now,
                "to_error": "",
                "to_attempts": 0,
            }
        )
        where = {"t": tx.tenant, "document": current.id}
        if draft.content is not None:
            self.rows["recontents"].append({**where, "to_content": draft.content.encode()})
        for container in before & after:
            self.rows["moves"].append({**where, "in_container": container, "to_revision": revision})
        for container in before - after:
            self.rows["leaves"].append({**where, "in_container": container})
            tx.count(container, documents=-1)
        for container in after - before:
            self._join(container, current.id, revision)
        self._queue(current.id, revision)
        return DocumentReceipt(
            current.id,
            False,
            draft.changed,
            Status.QUEUED,
            draft.etag,
            revision,
            current.create_time,
            tx.now,
        )

    def _join(self, container: str, document_id: str, revision: int) -> None:
        self.tx.count(container, documents=1)
        self.rows["joins"].append(
            {
                "tenant": self.tx.tenant,
                "container": container,
                "document_id": document_id,
                "revision": revision,
            }
        )

    def _queue(self, document_id: str, revision: int) -> None:
        self.jobs.append(
            {
                "tenant": self.tx.tenant,
                "document_id": document_id,
                "revision": revision,
                "queue_time": self.tx.now,
            }
        )

    def flush(self) -> None:
        conn = self.tx.conn
        for name, statement in (
            ("new", insert(documents)),
            ("contents", insert(document_contents)),
            ("changed", _UPDATE),
            ("recontents", _UPDATE_CONTENT),
            ("leaves", _LEAVE),
            ("moves", _MOVE),
            ("joins", insert(document_containers)),
        ):
            if self.rows[name]:
                conn.execute(statement, self.rows[name])
        if self.jobs:
            put = dialects.upsert(conn, jobs)
            conn.execute(
                put.on_conflict_do_update(
                    index_elements=["tenant", "document_id"],
                    set_={
                        "revision": put.excluded.revision,
                        "queue_time": put.excluded.queue_time,
                    },
                ),
                self.jobs,
            )


def _draft_columns(draft: Draft) -> dict[str, object]:
    return {
        "content_hash": draft.content_hash,
        "metadata": draft.metadata,
        "comparable": comparable(parse(draft.metadata)),
        "containers": json_list(draft.containers),
        "title": draft.title,
        "document_date": draft.document_date,
        "etag": draft.etag,
    }


def _receipt(state: DocumentState, *, changed: bool) -> DocumentReceipt:
    return DocumentReceipt(
        state.id,
        False,
        changed,
        state.status,
        state.etag,
        state.revision,
        state.create_time,
        state.update_time,
    )


def _upsert_round(
    tx: TenantTx, items: Sequence[tuple[Call, DocumentWrite]]
) -> list[DocumentReceipt | PalimpsestError]:
    """Upserts of different custom ids."""
    names = {write.custom_id for _, write in items if write.custom_id}
    states = load(tx.conn, tx.tenant, names) if names else {}
    writes = _Writes(tx)
    results: list[DocumentReceipt | PalimpsestError] = []
    for call, write in items:
        current = states.get(write.custom_id) if write.custom_id else None
        try:
            draft = rules.draft_upsert(tx.digester, call.who, write, current)
        except PalimpsestError as error:
            results.append(error)
            continue
        if current is None:
            results.append(writes.create(call, write.custom_id, draft))
        else:
            results.append(writes.change(call, current, draft))
    writes.flush()
    return results


def _upsert_all(
    tx: TenantTx, items: Sequence[tuple[Call, DocumentWrite]]
) -> list[DocumentReceipt | PalimpsestError]:
    """Upserts in order; those that meet on a custom id go one after the other."""
    results: list[Any] = [None] * len(items)
    waiting = list(range(len(items)))
    while waiting:
        taken: set[str] = set()
        now: list[int] = []
        later: list[int] = []
        for index in waiting:
            custom_id = items[index][1].custom_id
            if custom_id in taken:
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


def upsert(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: DocumentWrite. Answers DocumentReceipt."""
    results = _upsert_all(tx, [(call, call.payload) for call in calls])
    for call, result in zip(calls, results, strict=True):
        if not isinstance(result, PalimpsestError):
            tx.remember(call, result)
    return results


def batch_upsert(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: a sequence of DocumentWrite, applied oldest date first. Answers BatchReceipt."""
    items = [(call, index, write) for call in calls for index, write in _oldest_first(call.payload)]
    results = _upsert_all(tx, [(call, write) for call, _, write in items])
    outcomes: dict[int, list[Any]] = {id(call): [None] * len(call.payload) for call in calls}
    for (call, index, _), result in zip(items, results, strict=True):
        failed = isinstance(result, PalimpsestError)
        outcomes[id(call)][index] = _item_failure(result) if failed else result
    receipts = [BatchReceipt(tuple(outcomes[id(call)]), tx.revision) for call in calls]
    for call, receipt in zip(calls, receipts, strict=True):
        tx.remember(call, receipt)
    return receipts


def _item_failure(error: Any) -> ItemFailure:
    return ItemFailure(error.reason.name, error.message)


def _oldest_first(writes: Sequence[DocumentWrite]) -> list[tuple[int, DocumentWrite]]:
    def key(item: tuple[int, DocumentWrite]) -> tuple[bool, int]:
        date = item[1].document_date
        return (False, date) if isinstance(date, int) else (True, 0)

    return sorted(enumerate(writes), key=key)


def update_documents(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: DocumentPatch. Answers DocumentReceipt."""
    patches: list[DocumentPatch] = [call.payload for call in calls]
    states = load(tx.conn, tx.tenant, (patch.id for patch in patches))
    writes = _Writes(tx)
    results: list[Outcome] = []
    taken: set[str] = set()
    for call, patch in zip(calls, patches, strict=True):
        current = states.get(patch.id)
        if current is None:
            results.append(document_not_found())
        elif current.id in taken:
            results.append(DEFERRED)
        else:
            taken.add(current.id)
            try:
                draft = rules.draft_update(tx.digester, call.who, patch, current)
            except PalimpsestError as error:
                results.append(error)
                continue
            receipt = writes.change(call, current, draft)
            tx.remember(call, receipt)
            results.append(receipt)
    writes.flush()
    return results


def delete_documents(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: DocumentDelete. Answers DeleteReceipt."""
    requested: list[DocumentDelete] = [call.payload for call in calls]
    states = load(tx.conn, tx.tenant, (item.id for item in requested))
    results: list[Outcome] = []
    gone: dict[str, DocumentState] = {}
    for call, item in zip(calls, requested, strict=True):
        current = states.get(item.id)
        if current is not None and current.id in gone:
            results.append(DEFERRED)
            continue
        try:
            if current is None:
                raise document_not_found()
            rules.check_writable(call.who, current.containers)
            rules.check_etag(item.etag, current.etag)
        except PalimpsestError as error:
            if not (item.allow_missing and error.reason.name == "DOCUMENT_NOT_FOUND"):
                results.append(error)
                continue
            receipt = DeleteReceipt("", tx.revision)
        else:
            gone[current.id] = current
            receipt = DeleteReceipt(current.id, record_deletion(tx, call, current))
        tx.remember(call, receipt)
        results.append(receipt)
    delete_rows(tx, list(gone.values()))
    return results


def record_deletion(tx: TenantTx, call: Call, state: DocumentState) -> int:
    for container in state.containers:
        tx.count(container, documents=-1)
    return tx.change(call, "document.deleted", state.id, state.containers)


def delete_rows(tx: TenantTx, states: Sequence[DocumentState]) -> None:
    """Remove documents and all that was derived from them."""
    if not states:
        return
    names = padded(state.id for state in states)
    for statement in (*_DELETE_ROWS, _UNLINK):
        tx.conn.execute(statement, {"t": tx.tenant, "names": names})
    tx.conn.execute(
        _LEAVE,
        [
            {"t": tx.tenant, "document": state.id, "in_container": container}
            for state in states
            for container in state.containers
        ],
    )
