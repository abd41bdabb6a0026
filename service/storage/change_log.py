"""What becomes of the change log as it ages.

A container that is deleted leaves its changes, and in them its tag. They get a keyed digest
of it instead, in bounded steps: a reader that names the container finds them under both, also
when it has been created again. Changes older than the retention are removed, and the tenant's
oldest kept revision says since when the log is complete.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, case, delete, select, update

from service.core.digests import Digester
from service.core.model import ChangeKind
from service.storage.inserts import upsert_rows
from service.storage.tables import changes, erased_containers, tenants
from service.storage.transactions import lock_tenants

STEP: Final = 500
"""Changes rewritten or removed in one transaction."""

_WAITING = select(
    erased_containers.c.tenant, erased_containers.c.container, erased_containers.c.revision
).limit(1)
_OLD = (
    select(changes.c.revision)
    .where(
        changes.c.tenant == bindparam("t"),
        changes.c.container == bindparam("tag"),
        changes.c.revision <= bindparam("upto"),
    )
    .order_by(changes.c.revision)
    .limit(STEP)
)
# The change of a deleted container has its tag for an id, too.
_REDACT = (
    update(changes)
    .where(
        changes.c.tenant == bindparam("t"),
        changes.c.container == bindparam("tag"),
        changes.c.revision.in_(_OLD),
    )
    .values(
        container=bindparam("digest"),
        entity_id=case(
            (changes.c.kind == ChangeKind.CONTAINER_DELETED.value, bindparam("digest")),
            else_=changes.c.entity_id,
        ),
    )
)
_REDACTED = delete(erased_containers).where(
    erased_containers.c.tenant == bindparam("t"),
    erased_containers.c.container == bindparam("tag"),
    # Deleted once more meanwhile, it has more to be rewritten.
    erased_containers.c.revision == bindparam("upto"),
)

_FIRST_TIME = (
    select(changes.c.time)
    .where(changes.c.tenant == tenants.c.tenant)
    .order_by(changes.c.revision)
    .limit(1)
    .scalar_subquery()
)
_OUTDATED = select(tenants.c.tenant).where(bindparam("before") > _FIRST_TIME)
_FIRST = (
    select(changes.c.revision, changes.c.time)
    .where(changes.c.tenant == bindparam("t"))
    .order_by(changes.c.revision)
    .limit(STEP)
)
_REMOVE = delete(changes).where(
    changes.c.tenant == bindparam("t"), changes.c.revision < bindparam("oldest")
)
_KEPT_FROM = (
    update(tenants)
    .where(tenants.c.tenant == bindparam("t"))
    .values(oldest_revision=bindparam("oldest"))
)


def erase_tag(conn: Connection, tenant: int, tag: str, revision: int) -> None:
    """Note, in the transaction that deletes a container, up to where its tag is to go."""
    row = {"tenant": tenant, "container": tag, "revision": revision}
    upsert_rows(conn, erased_containers, [row], put=("revision",))


def unredacted(conn: Connection) -> bool:
    """Whether a tag waits for `redact`."""
    return conn.execute(_WAITING).first() is not None


def redact(conn: Connection, digester: Digester) -> bool:
    """Replace a deleted container's tag in up to STEP changes; True if there is more to do."""
    row = conn.execute(_WAITING).first()
    if row is None:
        return False
    lock_tenants(conn, [row.tenant])
    where = {"t": row.tenant, "tag": row.container, "upto": row.revision}
    digest = digester.tag(row.tenant, row.container)
    done = conn.execute(_REDACT, {**where, "digest": digest})
    if done.rowcount < STEP:
        conn.execute(_REDACTED, where)
    return True


def outdated(conn: Connection, before: int) -> list[int]:
    """Tenants with changes that were made before an instant."""
    return [int(tenant) for tenant in conn.execute(_OUTDATED, {"before": before}).scalars()]


def trim(conn: Connection, tenant: int, before: int) -> bool:
    """Remove about STEP changes made before an instant; True if there may be more."""
    lock_tenants(conn, [tenant])
    rows = conn.execute(_FIRST, {"t": tenant}).all()
    old = [row.revision for row in rows if row.time < before]
    if not old:
        return False
    # The last revision may have further rows, unless these are all that there are.
    more = len(old) == STEP
    oldest = old[-1] if more and old[-1] > old[0] else old[-1] + 1
    conn.execute(_REMOVE, {"t": tenant, "oldest": oldest})
    conn.execute(_KEPT_FROM, {"t": tenant, "oldest": oldest})
    return more
