"""Deleting whole containers, in bounded transactions.

A purge fixes the tenant's revision when it starts and deletes what was last
written no later, checked again in the transaction that deletes. Between two
steps other callers get their turn; with a request_id the counts so far are kept
in each step's transaction, so that a repetition continues from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import (
    BigInteger,
    Connection,
    String,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
)

from service.core.errors import PalimpsestError, Reason
from service.core.memories import End
from service.core.model import (
    BulkDeleteReceipt,
    ChangeKind,
    ContainerDeleteReceipt,
)
from service.core.times import FOREVER
from service.storage import change_log
from service.storage.containers.detaching import detach
from service.storage.deletions import Receipt, Step
from service.storage.documents.rows import load, members
from service.storage.documents.writes import (
    delete_rows,
    record_deletion,
    removal,
)
from service.storage.memories import writes as memory_writes
from service.storage.tables import (
    changes,
    containers,
    document_containers,
    documents,
    memory_spans,
)
from service.storage.transactions import Mutation, Outcome, TenantTx, json_list

STEP = 384
"""Documents or memories deleted in one transaction."""

SAMPLE = 100
"""Ids that an answer lists, at most, of documents that are deleted or detached."""


@dataclass(frozen=True, slots=True)
class Purge:
    """One step of a purge; `upto` None: this is the first."""

    containers: tuple[str, ...]
    whole: bool
    """Also delete memories and the container itself (DeleteContainer)."""
    allow_missing: bool = False
    upto: int | None = None
    most: int = STEP
    """Documents or memories that one step deletes."""
    deleted: int = 0
    detached: int = 0
    memories: int = 0
    revision: int = 0
    detached_ids: tuple[str, ...] = ()

    def limited(self, most: int) -> Purge:
        return replace(self, most=most)


def _resumed(tx: TenantTx, mutation: Mutation[Purge]) -> Purge:
    purge = mutation.payload
    kept = mutation.progress
    if isinstance(kept, BulkDeleteReceipt):
        return replace(
            purge,
            upto=kept.upto,
            deleted=kept.deleted,
            detached=kept.detached,
            revision=kept.revision,
            detached_ids=kept.detached_ids,
        )
    if isinstance(kept, ContainerDeleteReceipt):
        return replace(
            purge,
            upto=kept.upto,
            deleted=kept.documents,
            detached=kept.detached,
            memories=kept.memories,
            revision=kept.revision,
            detached_ids=kept.detached_ids,
        )
    if purge.upto is None:
        return replace(purge, upto=tx.revision, revision=tx.revision)
    return purge


_MEMBERS = (
    document_containers.c.tenant == bindparam("t"),
    document_containers.c.container == bindparam("in_container"),
    document_containers.c.revision <= bindparam("upto"),
)


_STEP = (
    select(document_containers.c.revision)
    .where(*_MEMBERS)
    .order_by(document_containers.c.revision)
    .limit(bindparam("most"))
    .subquery()
)


_UPTO = select(func.count(), func.max(_STEP.c.revision)).select_from(_STEP)
"""How many documents a step takes, and the revision up to which it takes them."""


_TAKEN = select(document_containers.c.document_id).where(*_MEMBERS)


_SHARED = select(documents.c.id, documents.c.containers).where(
    documents.c.tenant == bindparam("t"),
    documents.c.id.in_(_TAKEN),
    documents.c.containers != bindparam("only"),
)


_RECORDED = (
    "tenant",
    "revision",
    "container",
    "kind",
    "entity_id",
    "time",
    "key_id",
    "request_id",
    "actor",
)


# The rows of a step never pass through Python: other calls need its lock.
_RECORD = insert(changes).from_select(
    _RECORDED,
    select(
        document_containers.c.tenant,
        func.row_number().over(order_by=document_containers.c.revision)
        + bindparam("after", type_=BigInteger),
        document_containers.c.container,
        literal(ChangeKind.DOCUMENT_DELETED.value),
        document_containers.c.document_id,
        bindparam("time", type_=BigInteger),
        bindparam("key_id", type_=String),
        bindparam("request_id", type_=String),
        bindparam("actor", type_=String),
    ).where(*_MEMBERS),
)


_REMOVE = (*removal(_TAKEN), delete(document_containers).where(*_MEMBERS))


def purge_step(
    tx: TenantTx, mutations: Sequence[Mutation[Purge]]
) -> Sequence[Outcome[Step[Purge, Receipt]]]:
    """One bounded step for each."""
    return [_step(tx, mutation) for mutation in mutations]


def _step(tx: TenantTx, mutation: Mutation[Purge]) -> Outcome[Step[Purge, Receipt]]:
    purge = _resumed(tx, mutation)
    try:
        if (
            purge.whole
            and purge.revision == purge.upto
            and not container_exists(tx.conn, tx.tenant, purge)
        ):
            if not purge.allow_missing:
                raise container_not_found(purge.containers[0])
            nothing = ContainerDeleteReceipt(0, 0, 0, False, tx.revision, True)
            tx.remember(mutation, nothing)
            return Step(purge, nothing)
        purge, finished = _delete_some(tx, mutation, purge)
    except PalimpsestError as error:
        return error
    removed = finished and purge.whole and _remove_container(tx, mutation, purge)
    if removed:
        purge = replace(purge, revision=tx.revision)
    receipt = receipt_of(purge, finished, removed)
    tx.remember(mutation, receipt, complete=finished)
    return Step(purge, receipt)


def receipt_of(purge: Purge, finished: bool, removed: bool) -> Receipt:
    upto = None if finished else purge.upto
    if purge.whole:
        return ContainerDeleteReceipt(
            purge.deleted,
            purge.detached,
            purge.memories,
            removed,
            purge.revision,
            finished,
            upto=upto,
            detached_ids=purge.detached_ids,
        )
    return BulkDeleteReceipt(
        purge.deleted,
        purge.detached,
        (),
        purge.revision,
        finished,
        upto=upto,
        detached_ids=purge.detached_ids,
    )


def _delete_some(tx: TenantTx, mutation: Mutation[Purge], purge: Purge) -> tuple[Purge, bool]:
    """Up to `purge.most` deletions; True when nothing is left to delete."""
    for container in purge.containers:
        deleted, detached = _delete_documents(tx, mutation, purge, container)
        if deleted or detached:
            purge = replace(
                purge,
                deleted=purge.deleted + deleted,
                detached=purge.detached + len(detached),
                revision=tx.revision,
                detached_ids=(*purge.detached_ids, *detached)[:SAMPLE],
            )
            return purge, False
    if purge.whole:
        deleted = _delete_memories(tx, mutation, purge)
        if deleted:
            purge = replace(purge, memories=purge.memories + deleted, revision=tx.revision)
            return purge, False
    return purge, True


def _delete_documents(
    tx: TenantTx, mutation: Mutation[Purge], purge: Purge, container: str
) -> tuple[int, list[str]]:
    """How many documents a step deleted, and which it detached, oldest write first."""
    where = {"t": tx.tenant, "in_container": container, "upto": purge.upto}
    taken, upto = tx.conn.execute(_UPTO, {**where, "most": purge.most}).one()
    if not taken:
        return 0, []
    where["upto"] = upto
    shared = members(tx.conn.execute(_SHARED, {**where, "only": json_list([container])}))
    named = set(purge.containers)
    gone = [member for member in shared if named.issuperset(member.containers)]
    for member in gone:
        record_deletion(tx, mutation, member)
    delete_rows(tx, gone)
    kept = [member.id for member in shared if not named.issuperset(member.containers)]
    detached = sorted(load(tx.conn, tx.tenant, kept).values(), key=lambda state: state.revision)
    if detached:
        detach(tx, mutation, detached, named)
    rest = taken - len(shared)
    if rest:
        after = tx.take_revisions(rest)
        tx.count(container, documents=-rest)
        tx.conn.execute(_RECORD, {**where, "after": after, "time": tx.now, **tx.origin(mutation)})
        for statement in _REMOVE:
            tx.pause()
            tx.conn.execute(statement, where)
    return taken - len(kept), [state.id for state in detached]


LATEST_ENDS = (int(End.OPEN), int(End.FORGOTTEN), int(End.EXPIRED))


_CHAIN_ROOTS = (
    select(memory_spans.c.root_id)
    .where(
        memory_spans.c.tenant == bindparam("t"),
        memory_spans.c.container == bindparam("in_container"),
        memory_spans.c.end_kind.in_(LATEST_ENDS),
        memory_spans.c.state_until == FOREVER,
        memory_spans.c.revision <= bindparam("upto"),
    )
    .limit(bindparam("most"))
)


def _delete_memories(tx: TenantTx, mutation: Mutation[Purge], purge: Purge) -> int:
    container = purge.containers[0]
    roots = set(
        tx.conn.execute(
            _CHAIN_ROOTS,
            {"t": tx.tenant, "in_container": container, "upto": purge.upto, "most": purge.most},
        ).scalars()
    )
    chains = memory_writes.load_chains(tx, roots).values()
    for chain in chains:
        memory_writes.record_deletion(tx, mutation, container, chain)
    memory_writes.delete_rows(tx, chains)
    return len(chains)


def container_exists(conn: Connection, tenant: int, purge: Purge) -> bool:
    found = conn.execute(
        select(containers.c.container).where(
            containers.c.tenant == tenant, containers.c.container == purge.containers[0]
        )
    )
    return found.first() is not None


def _remove_container(tx: TenantTx, mutation: Mutation[Purge], purge: Purge) -> bool:
    """Remove the container's own row, unless newer writes keep something in it."""
    tag = purge.containers[0]
    held = (
        tx.conn.execute(
            select(document_containers.c.document_id)
            .where(
                document_containers.c.tenant == tx.tenant, document_containers.c.container == tag
            )
            .limit(1)
        ).first()
        or tx.conn.execute(
            select(memory_spans.c.memory_id)
            .where(memory_spans.c.tenant == tx.tenant, memory_spans.c.container == tag)
            .limit(1)
        ).first()
    )
    if held is not None:
        return False
    tx.conn.execute(
        delete(containers).where(containers.c.tenant == tx.tenant, containers.c.container == tag)
    )
    revision = tx.change(mutation, ChangeKind.CONTAINER_DELETED, tag, [tag])
    change_log.erase_tag(tx.conn, tx.tenant, tag, revision)
    return True


def container_not_found(tag: str) -> PalimpsestError:
    return PalimpsestError(
        Reason.CONTAINER_NOT_FOUND,
        "Container not found",
        resource=("palimpsest.v1.Container", tag),
    )
