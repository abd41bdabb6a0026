"""What deleting whole containers would come to."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, exists, func, select

from service.core.model import Principal
from service.core.times import FOREVER
from service.storage.containers.purges import (
    LATEST_ENDS,
    SAMPLE,
    Purge,
    container_exists,
    container_not_found,
    receipt_of,
)
from service.storage.deletions import Receipt
from service.storage.lists import tenant_revision
from service.storage.tables import document_containers, memory_spans


def preview(conn: Connection, principal: Principal, purge: Purge) -> Receipt:
    """What a purge would delete and detach now: counts, and the first ids."""
    if (
        purge.whole
        and not purge.allow_missing
        and not container_exists(conn, principal.tenant, purge)
    ):
        raise container_not_found(purge.containers[0])
    joins, other = document_containers, document_containers.alias()
    elsewhere = exists().where(
        other.c.tenant == principal.tenant,
        other.c.document_id == joins.c.document_id,
        other.c.container.not_in(purge.containers),
    )
    members = select(joins.c.document_id).where(
        joins.c.tenant == principal.tenant, joins.c.container.in_(purge.containers)
    )

    def count(condition: ColumnElement[bool]) -> int:
        chosen = members.where(condition).distinct().subquery()
        return int(conn.execute(select(func.count()).select_from(chosen)).scalar_one())

    def first_detached() -> tuple[str, ...]:
        """In the order in which they would be detached."""
        found: dict[str, None] = {}
        for container in purge.containers:
            if len(found) >= SAMPLE:
                break
            oldest = (
                select(joins.c.document_id)
                .where(
                    joins.c.tenant == principal.tenant, joins.c.container == container, elsewhere
                )
                .order_by(joins.c.revision)
                .limit(SAMPLE)
            )
            found.update(dict.fromkeys(conn.execute(oldest).scalars()))
        return tuple(found)[:SAMPLE]

    sample = conn.execute(members.where(~elsewhere).distinct().limit(SAMPLE)).scalars().all()
    detached = count(elsewhere)
    chains = 0
    if purge.whole:
        chains = conn.execute(
            select(func.count()).where(
                memory_spans.c.tenant == principal.tenant,
                memory_spans.c.container == purge.containers[0],
                memory_spans.c.end_kind.in_(LATEST_ENDS),
                memory_spans.c.state_until == FOREVER,
            )
        ).scalar_one()
    done = replace(
        purge,
        deleted=count(~elsewhere),
        detached=detached,
        detached_ids=first_detached() if detached else (),
        memories=chains,
        revision=tenant_revision(conn, principal.tenant),
    )
    return replace(receipt_of(done, True, False), sample_ids=tuple(sample))
