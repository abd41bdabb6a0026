"""Taking documents out of containers that are deleted, where they stay in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import bindparam, case, update

from service.core import documents as rules
from service.core.model import ChangeKind, Status
from service.storage.documents.names import Name, find
from service.storage.documents.writes import LEAVE, MOVE, UNSHARE, shared_rows
from service.storage.inserts import insert_rows
from service.storage.tables import documents, jobs, shared_custom_ids
from service.storage.transactions import Mutation, TenantTx, json_list

# A job is about the document as it now is; its holder has lost it, as with any write.
_RENEW = (
    update(jobs)
    .where(jobs.c.tenant == bindparam("t"), jobs.c.document_id == bindparam("document"))
    .values(
        revision=bindparam("to_revision"),
        due_time=bindparam("to_revision"),
        lane=bindparam("to_lane"),
        holder=None,
        attempts=0,
    )
)


_SHRINK = (
    update(documents)
    .where(documents.c.tenant == bindparam("t"), documents.c.id == bindparam("document"))
    .values(
        containers=bindparam("to_containers"),
        home=bindparam("to_home"),
        etag=bindparam("to_etag"),
        revision=bindparam("to_revision"),
        update_time=bindparam("to_time"),
        status=case(
            (documents.c.status < int(Status.DONE), int(Status.QUEUED)), else_=documents.c.status
        ),
    )
)


# Before the home is moved to where another document has the custom id.
_LOSE_CUSTOM_ID = (
    update(documents)
    .where(documents.c.tenant == bindparam("t"), documents.c.id == bindparam("document"))
    .values(custom_id=None)
)


def detach(
    tx: TenantTx, mutation: Mutation[object], states: Sequence[rules.DocumentState], named: set[str]
) -> None:
    """Take documents out of the named containers; the rest of theirs stays.

    A document whose home is one of them moves to the next of its containers, and loses its
    custom id where another document has that there.
    """
    leaves, stays, shrinks, loses, shared = [], [], [], [], []
    remaining = {
        state.id: tuple(tag for tag in state.containers if tag not in named) for state in states
    }
    homes = _free_homes(tx, [(state, remaining[state.id]) for state in states])
    for state in states:
        left = remaining[state.id]
        where = {"t": tx.tenant, "document": state.id}
        custom_id, kind = state.custom_id, ChangeKind.DOCUMENT_UPDATED
        if custom_id and state.home != left[0]:
            place = Name(custom_id, left[0])
            if place not in homes:
                custom_id, kind = None, ChangeKind.DOCUMENT_CUSTOM_ID_LOST
                loses.append(where)
            homes.discard(place)
        shared += shared_rows(tx.tenant, state.id, custom_id, left)
        revision = tx.change(mutation, kind, state.id, state.containers)
        for tag in state.containers:
            if tag in named:
                tx.count(tag, documents=-1)
                leaves.append({**where, "in_container": tag})
            else:
                stays.append({**where, "in_container": tag, "to_revision": revision})
        etag = replace(state.fields, containers=left).etag(tx.digester)
        shrinks.append(
            {
                **where,
                "to_containers": json_list(left),
                "to_home": left[0],
                "to_etag": etag,
                "to_revision": revision,
                "to_time": tx.now,
                "to_lane": left[0],
            }
        )
    tx.conn.execute(LEAVE, leaves)
    tx.conn.execute(MOVE, stays)
    if loses:
        tx.conn.execute(_LOSE_CUSTOM_ID, loses)
    tx.conn.execute(_SHRINK, shrinks)
    tx.conn.execute(_RENEW, shrinks)
    tx.conn.execute(UNSHARE, [{"t": tx.tenant, "document": state.id} for state in states])
    insert_rows(tx.conn, shared_custom_ids, shared)


def _free_homes(
    tx: TenantTx, moves: Sequence[tuple[rules.DocumentState, tuple[str, ...]]]
) -> set[Name]:
    """The next homes of documents that lose theirs, as far as no other has the custom id there."""
    places = {
        Name(state.custom_id, left[0])
        for state, left in moves
        if state.custom_id and state.home != left[0]
    }
    return places.difference(find(tx.conn, tx.tenant, places)) if places else places
