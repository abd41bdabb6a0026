"""What is done to stored webhooks, by the command line and by the delivery."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from service.core import model as m
from service.core import webhooks as rules
from service.core.times import SECOND
from service.ports.webhooks import DueWebhook
from service.storage.tables import tenants, webhooks

_MINE = (
    webhooks.c.tenant == bindparam("t"),
    webhooks.c.id == bindparam("webhook"),
)
_DUE = (
    select(webhooks.c.tenant, webhooks.c.id, webhooks.c.holder, webhooks.c.beat)
    .join(tenants, tenants.c.tenant == webhooks.c.tenant)
    .where(
        webhooks.c.state == m.WebhookState.ACTIVE.value,
        or_(
            webhooks.c.next_attempt <= bindparam("now"),
            # Put off by a clock that was ahead.
            webhooks.c.next_attempt > bindparam("late"),
        ),
        webhooks.c.position < tenants.c.revision,
    )
    # Those first for which the least was done.
    .order_by(webhooks.c.beat, webhooks.c.id)
    .limit(bindparam("n"))
)
_CLAIM = (
    update(webhooks)
    .where(
        *_MINE,
        webhooks.c.state == m.WebhookState.ACTIVE.value,
        webhooks.c.holder.is_not_distinct_from(bindparam("before")),
        webhooks.c.beat == bindparam("seen"),
    )
    .values(holder=bindparam("me"), beat=webhooks.c.beat + 1)
)
_HELD = (*_MINE, webhooks.c.holder == bindparam("me"))
_RENEW = update(webhooks).where(*_HELD).values(beat=webhooks.c.beat + 1)
_ONE = select(webhooks).where(*_MINE)
_LISTED = (
    select(webhooks, tenants.c.name, tenants.c.revision, tenants.c.oldest_revision)
    .join(tenants, tenants.c.tenant == webhooks.c.tenant)
    .order_by(webhooks.c.create_time, webhooks.c.id)
)
_STANDING = select(tenants.c.tenant, tenants.c.revision, tenants.c.oldest_revision).where(
    tenants.c.name == bindparam("tenant_name")
)

_DELIVERED: Final = {"failures": 0, "last_error": "", "next_attempt": 0}


@dataclass(frozen=True, slots=True)
class WebhookInfo:
    """A webhook as the operator is shown it.

    Args:
        webhook: As it is stored.
        tenant: The name of its tenant.
        revision: The tenant's last revision.
        oldest: The oldest revision that is kept.
    """

    webhook: m.Webhook
    tenant: str
    revision: int
    oldest: int


class UnknownTenantError(ValueError):
    """There is no tenant of this name."""


class PositionError(ValueError):
    """The changes after this revision cannot be sent: the message says why."""


def due(conn: Connection, now: int, limit: int) -> list[DueWebhook]:
    late = now + round(2 * rules.LONGEST_PAUSE * SECOND)
    rows = conn.execute(_DUE, {"now": now, "late": late, "n": limit})
    return [DueWebhook(*row) for row in rows]


def claim(conn: Connection, found: DueWebhook, holder: str) -> m.Webhook | None:
    which = _which(found.tenant, found.id)
    seen = {"before": found.holder, "seen": found.beat, "me": holder}
    if not conn.execute(_CLAIM, which | seen).rowcount:
        return None
    return _webhook(conn.execute(_ONE, which).one())


def renew(conn: Connection, held: Iterable[tuple[int, str]], holder: str) -> None:
    conn.execute(_RENEW, [_which(tenant, name) | {"me": holder} for tenant, name in held])


def advance(conn: Connection, webhook: m.Webhook, holder: str, position: int) -> bool:
    return _change(conn, webhook, holder, position=position, **_DELIVERED)


def release(conn: Connection, webhook: m.Webhook, holder: str, position: int) -> bool:
    """Its failures stay as they are if nothing was delivered."""
    delivered = _DELIVERED if position > webhook.position else {}
    return _change(conn, webhook, holder, position=position, holder=None, **delivered)


def fail(
    conn: Connection,
    webhook: m.Webhook,
    holder: str,
    position: int,
    *,
    failures: int,
    next_attempt: int,
    error: str,
    park: bool,
) -> bool:
    state = m.WebhookState.PARKED if park else m.WebhookState.ACTIVE
    return _change(
        conn,
        webhook,
        holder,
        position=position,
        holder=None,
        failures=failures,
        next_attempt=next_attempt,
        last_error=error,
        state=state.value,
    )


def _change(conn: Connection, webhook: m.Webhook, me: str, /, **values: Any) -> bool:
    statement = update(webhooks).where(*_HELD).values(**values, beat=webhooks.c.beat + 1)
    done = conn.execute(statement, _which(webhook.tenant, webhook.id) | {"me": me})
    return done.rowcount == 1


def add(
    conn: Connection, tenant: str, target: m.WebhookTarget, after: int | None, now: int
) -> m.Webhook:
    """A new webhook, of the changes after a revision; None: of those that are yet to be made.

    Raises:
        UnknownTenantError: There is no such tenant.
        PositionError: That revision is ahead of the tenant's last one, or what follows it is
            no longer kept.
    """
    standing = conn.execute(_STANDING, {"tenant_name": tenant}).first()
    if standing is None:
        raise UnknownTenantError(f"there is no tenant {tenant}; `palimpsest keys create` makes one")
    number, revision, oldest = standing
    if after is not None and after > revision:
        raise PositionError(f"the last revision of tenant {tenant} is {revision}")
    if after is not None and after < oldest - 1:
        raise PositionError(f"changes of tenant {tenant} are kept from revision {oldest} on")
    row = {
        "tenant": number,
        "id": rules.new_id(),
        "url": target.url,
        "secret": target.secret,
        "containers": json.dumps(sorted(target.containers)),
        "kinds": json.dumps(sorted(target.kinds)),
        "allow_private": target.allow_private,
        "position": revision if after is None else after,
        "state": m.WebhookState.ACTIVE.value,
        "failures": 0,
        "next_attempt": 0,
        "last_error": "",
        "create_time": now,
        "holder": None,
        "beat": 0,
    }
    conn.execute(insert(webhooks).values(row))
    return _webhook(conn.execute(_ONE, _which(number, row["id"])).one())


def listed(conn: Connection) -> list[WebhookInfo]:
    """All webhooks of all tenants, oldest first."""
    return [
        WebhookInfo(_webhook(row), row.name, row.revision, row.oldest_revision)
        for row in conn.execute(_LISTED)
    ]


def find(conn: Connection, name: str) -> WebhookInfo | None:
    """The webhook of an id."""
    return next((info for info in listed(conn) if info.webhook.id == name), None)


def remove(conn: Connection, webhook: m.Webhook) -> None:
    conn.execute(delete(webhooks).where(*_MINE), _which(webhook.tenant, webhook.id))


def pause(conn: Connection, webhook: m.Webhook) -> None:
    """Stop delivering, also where a delivery is in progress: it can note nothing any more."""
    statement = update(webhooks).where(*_MINE)
    conn.execute(
        statement.values(state=m.WebhookState.PAUSED.value, holder=None),
        _which(webhook.tenant, webhook.id),
    )


def resume(conn: Connection, info: WebhookInfo) -> int:
    """Deliver again at once; the answer is from which position.

    Where changes after its position are no longer kept, it goes on with the oldest that is.
    """
    webhook = info.webhook
    position = max(webhook.position, info.oldest - 1)
    conn.execute(
        update(webhooks)
        .where(*_MINE)
        .values(
            state=m.WebhookState.ACTIVE.value,
            position=position,
            holder=None,
            **_DELIVERED,
        ),
        _which(webhook.tenant, webhook.id),
    )
    return position


def _which(tenant: int, name: str) -> dict[str, Any]:
    return {"t": tenant, "webhook": name}


def _webhook(row: Any) -> m.Webhook:
    target = m.WebhookTarget(
        row.url,
        bytes(row.secret),
        tuple(json.loads(row.containers)),
        frozenset(map(m.ChangeKind, json.loads(row.kinds))),
        bool(row.allow_private),
    )
    return m.Webhook(
        row.tenant,
        row.id,
        target,
        row.position,
        m.WebhookState(row.state),
        row.failures,
        row.next_attempt,
        row.last_error,
        row.create_time,
    )
