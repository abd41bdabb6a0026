"""Deleting many documents by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import (
    Connection,
)

from service.core import documents as rules
from service.core.errors import PalimpsestError, document_not_found
from service.core.model import (
    BulkDeleteReceipt,
    ItemFailure,
    Principal,
)
from service.storage.deletions import Step
from service.storage.documents.names import name_of
from service.storage.documents.rows import load_named
from service.storage.documents.writes import delete_rows, record_deletion
from service.storage.lists import tenant_revision
from service.storage.transactions import DEFERRED, Mutation, Outcome, TenantTx


@dataclass(frozen=True, slots=True)
class IdsDelete:
    """A step of a deletion by ids or custom ids: `most` of them, after the `done` first."""

    names: Sequence[str]
    most: int
    done: int = 0
    deleted: int = 0
    errors: tuple[tuple[int, ItemFailure], ...] = ()

    def limited(self, most: int) -> IdsDelete:
        return replace(self, most=most)


def delete_ids(
    tx: TenantTx, mutations: Sequence[Mutation[IdsDelete]]
) -> Sequence[Outcome[Step[IdsDelete, BulkDeleteReceipt]]]:
    """One mutation at a time."""
    mutation = mutations[0]
    deletion = mutation.payload
    kept = mutation.progress
    if isinstance(kept, BulkDeleteReceipt) and kept.upto is not None:
        deletion = replace(
            deletion, done=kept.upto, deleted=kept.deleted, errors=tuple(kept.errors)
        )
    end = min(len(deletion.names), deletion.done + deletion.most)
    gone, errors = named_documents(tx.conn, mutation.principal, deletion.names[deletion.done : end])
    for state in gone:
        record_deletion(tx, mutation, state)
    delete_rows(tx, gone)
    deletion = replace(
        deletion,
        done=end,
        deleted=deletion.deleted + len(gone),
        errors=(
            *deletion.errors,
            *((deletion.done + index, failure) for index, failure in errors),
        ),
    )
    complete = end == len(deletion.names)
    receipt = BulkDeleteReceipt(
        deletion.deleted,
        0,
        deletion.errors,
        tx.revision,
        complete,
        upto=None if complete else end,
    )
    tx.remember(mutation, receipt, complete=complete)
    return [Step(deletion, receipt), *(DEFERRED for _ in mutations[1:])]


def named_documents(
    conn: Connection, principal: Principal, names: Sequence[str]
) -> tuple[list[rules.DocumentState], list[tuple[int, ItemFailure]]]:
    """What of `names` can be deleted; the rest by index, with why not."""
    states = load_named(conn, principal.tenant, [name_of(principal, name) for name in names])
    gone: dict[str, rules.DocumentState] = {}
    errors: list[tuple[int, ItemFailure]] = []
    for index, name in enumerate(names):
        state = states.get(name_of(principal, name))
        try:
            if isinstance(state, PalimpsestError):
                raise state
            if state is None or state.id in gone:
                raise document_not_found()
            rules.check_writable(principal, state.containers)
        except PalimpsestError as error:
            errors.append((index, ItemFailure(error.reason.name, error.message)))
        else:
            gone[state.id] = state
    return list(gone.values()), errors


def preview_ids(conn: Connection, principal: Principal, names: Sequence[str]) -> BulkDeleteReceipt:
    """What deleting by ids would come to now."""
    gone, errors = named_documents(conn, principal, names)
    return BulkDeleteReceipt(
        len(gone),
        0,
        tuple(errors),
        tenant_revision(conn, principal.tenant),
        True,
        tuple(state.id for state in gone),
    )
