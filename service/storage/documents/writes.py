"""Writing documents: the rows of a round, gathered and then written kind by kind."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import (
    BindParameter,
    Delete,
    Select,
    Update,
    bindparam,
    delete,
    null,
    update,
)

from service.core import ids
from service.core.documents import DocumentDraft, DocumentState
from service.core.metadata import comparable
from service.core.model import (
    ChangeKind,
    DocumentReceipt,
    Status,
    encoded,
)
from service.storage.documents.rows import Membership
from service.storage.inserts import insert_rows, run_for_each, run_once, upsert_rows
from service.storage.tables import (
    chunks,
    document_containers,
    document_contents,
    documents,
    jobs,
    memories,
    shared_custom_ids,
)
from service.storage.transactions import (
    Mutation,
    TenantTx,
    json_list,
    pad_in_list,
)

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
                "kind",
            )
        }
    )
)


_UPDATE_WITH_HOME = _UPDATE.values(home=bindparam("to_home"))


_UPDATE_CONTENT = (
    update(document_contents)
    .where(
        document_contents.c.tenant == bindparam("t"),
        document_contents.c.document_id == bindparam("document"),
    )
    .values(content=bindparam("to_content"))
)


MOVE = (
    update(document_containers)
    .where(
        document_containers.c.tenant == bindparam("t"),
        document_containers.c.container == bindparam("in_container"),
        document_containers.c.document_id == bindparam("document"),
    )
    .values(revision=bindparam("to_revision"))
)


LEAVE = delete(document_containers).where(
    document_containers.c.tenant == bindparam("t"),
    document_containers.c.container == bindparam("in_container"),
    document_containers.c.document_id == bindparam("document"),
)


UNSHARE = delete(shared_custom_ids).where(
    shared_custom_ids.c.tenant == bindparam("t"),
    shared_custom_ids.c.document_id == bindparam("document"),
)
"""Takes out a document's custom id; `shared_rows` are those to put in."""


def shared_rows(
    tenant: int, document_id: str, custom_id: str | None, containers: Sequence[str]
) -> list[dict[str, object]]:
    """The custom id in those of the document's containers that are not its home."""
    if not custom_id:
        return []
    return [
        {
            "tenant": tenant,
            "document_id": document_id,
            "container": container,
            "custom_id": custom_id,
        }
        for container in containers[1:]
    ]


def removal(chosen: BindParameter[str] | Select[str]) -> tuple[Update | Delete, ...]:
    """Statements that remove documents and what hangs on them, but their memberships.

    Args:
        chosen: Ids of documents of the tenant "t": a bound list or a query.
    """
    rows = (
        (documents, documents.c.id),
        (document_contents, document_contents.c.document_id),
        (jobs, jobs.c.document_id),
        (shared_custom_ids, shared_custom_ids.c.document_id),
        (chunks, chunks.c.document_id),
    )
    unlink = (
        update(memories)
        .where(
            memories.c.tenant == bindparam("t"),
            memories.c.source_document_id.in_(chosen),
        )
        .values(source_document_id=null())
    )
    return (
        *(
            delete(table).where(table.c.tenant == bindparam("t"), column.in_(chosen))
            for table, column in rows
        ),
        unlink,
    )


_REMOVE = removal(bindparam("names", expanding=True))


class DocumentWriteBatch:
    """Rows of one round, gathered and then written kind by kind."""

    def __init__(self, tx: TenantTx) -> None:
        self.tx = tx
        self.rows: dict[str, list[dict[str, object]]] = {
            name: []
            for name in (
                "new",
                "contents",
                "joins",
                "changed",
                "rehomed",
                "recontents",
                "moves",
                "leaves",
                "unshared",
                "shared",
            )
        }
        self.jobs: list[dict[str, object]] = []
        self.new_jobs: list[dict[str, object]] = []

    def create(
        self, mutation: Mutation[object], custom_id: str | None, draft: DocumentDraft
    ) -> DocumentReceipt:
        tx = self.tx
        document_id = tx.new_id(ids.DOCUMENT)
        revision = tx.change(
            mutation, ChangeKind.DOCUMENT_CREATED, document_id, draft.fields.containers
        )
        self.rows["new"].append(
            {
                "tenant": tx.tenant,
                "id": document_id,
                "custom_id": custom_id,
                "home": draft.fields.containers[0],
                **_draft_columns(draft),
                "status": int(Status.QUEUED),
                "revision": revision,
                "create_time": tx.now,
                "update_time": tx.now,
            }
        )
        self.rows["contents"].append(
            {
                "tenant": tx.tenant,
                "document_id": document_id,
                "content": encoded(draft.content or ""),
            }
        )
        for container in draft.fields.containers:
            self._join(container, document_id, revision)
        self.rows["shared"] += shared_rows(
            tx.tenant, document_id, custom_id, draft.fields.containers
        )
        self.new_jobs.append(self._job(document_id, revision, draft))
        return DocumentReceipt(
            document_id, True, True, Status.QUEUED, draft.etag, revision, tx.now, tx.now
        )

    def change(
        self, mutation: Mutation[object], current: DocumentState, draft: DocumentDraft
    ) -> DocumentReceipt:
        if not draft.queue:
            return receipt_of(current, changed=False)
        tx = self.tx
        before, after = set(current.containers), set(draft.fields.containers)
        revision = tx.change(
            mutation, ChangeKind.DOCUMENT_UPDATED, current.id, sorted(before | after)
        )
        where = {"t": tx.tenant, "document": current.id}
        changed = {
            **where,
            **{f"to_{name}": value for name, value in _draft_columns(draft).items()},
            "to_status": Status.QUEUED,
            "to_revision": revision,
            "to_update_time": tx.now,
            "to_error": "",
            "to_attempts": 0,
        }
        home = draft.fields.containers[0]
        if home == current.home:
            self.rows["changed"].append(changed)
        else:
            self.rows["rehomed"].append({**changed, "to_home": home})
        if draft.content is not None:
            self.rows["recontents"].append({**where, "to_content": encoded(draft.content)})
        if current.custom_id and draft.fields.containers != current.containers:
            self.rows["unshared"].append(where)
            self.rows["shared"] += shared_rows(
                tx.tenant, current.id, current.custom_id, draft.fields.containers
            )
        for container in before & after:
            self.rows["moves"].append({**where, "in_container": container, "to_revision": revision})
        for container in before - after:
            self.rows["leaves"].append({**where, "in_container": container})
            tx.count(container, documents=-1)
        for container in after - before:
            self._join(container, current.id, revision)
        self.jobs.append(self._job(current.id, revision, draft))
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

    def _job(self, document_id: str, revision: int, draft: DocumentDraft) -> dict[str, object]:
        return {
            "tenant": self.tx.tenant,
            "document_id": document_id,
            "revision": revision,
            "due_time": revision,
            "lane": draft.fields.containers[0],
            "holder": None,
            "attempts": 0,
        }

    def flush(self) -> None:
        conn = self.tx.conn
        for name, statement in (
            ("changed", _UPDATE),
            ("rehomed", _UPDATE_WITH_HOME),
            ("recontents", _UPDATE_CONTENT),
            ("unshared", UNSHARE),
            ("leaves", LEAVE),
            ("moves", MOVE),
        ):
            run_for_each(conn, statement, self.rows[name])
        insert_rows(conn, documents, self.rows["new"])
        insert_rows(conn, document_contents, self.rows["contents"])
        insert_rows(conn, document_containers, self.rows["joins"])
        insert_rows(conn, shared_custom_ids, self.rows["shared"])
        self.tx.queued = bool(self.new_jobs or self.jobs)
        insert_rows(conn, jobs, self.new_jobs)
        put = ("revision", "due_time", "lane", "holder", "attempts")
        upsert_rows(conn, jobs, self.jobs, put=put)


_containers_text = lru_cache(maxsize=4096)(json_list)


def _draft_columns(draft: DocumentDraft) -> dict[str, object]:
    fields = draft.fields
    return {
        "content_hash": fields.content_hash,
        "metadata": fields.metadata,
        "comparable": comparable(fields.metadata),
        "containers": _containers_text(fields.containers),
        "title": fields.title,
        "document_date": fields.document_date,
        "etag": draft.etag,
        "kind": int(fields.kind),
    }


def receipt_of(state: DocumentState, *, changed: bool) -> DocumentReceipt:
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


def record_deletion(tx: TenantTx, mutation: Mutation[object], state: Membership) -> int:
    for container in state.containers:
        tx.count(container, documents=-1)
    return tx.change(mutation, ChangeKind.DOCUMENT_DELETED, state.id, state.containers)


def delete_rows(tx: TenantTx, states: Sequence[Membership]) -> None:
    """Remove documents and all that was derived from them."""
    if not states:
        return
    names = pad_in_list(state.id for state in states)
    for statement in _REMOVE:
        run_once(tx.conn, statement, {"t": tx.tenant, "names": names})
    leaves = [
        {"t": tx.tenant, "in_container": container, "document": state.id}
        for state in states
        for container in state.containers
    ]
    run_for_each(tx.conn, LEAVE, leaves)
