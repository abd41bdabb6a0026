"""Listing containers with what they hold."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, bindparam, literal, select, union_all

from service.core.memories import End
from service.core.model import Container, Order, PageRequest, Principal
from service.core.times import FOREVER
from service.ports.store import Page
from service.storage.lists import after, cut, one_page, tenant_state
from service.storage.tables import containers, memory_spans

# Expired, but not yet recorded by the sweeper: still in the stored count.
_OVERDUE = select(memory_spans.c.container, literal(-1).label("count")).where(
    memory_spans.c.tenant == bindparam("t"),
    memory_spans.c.end_kind == int(End.OPEN),
    memory_spans.c.shown_until <= bindparam("now"),
    memory_spans.c.forget_after.is_not(None),
)
# Recorded as expired by a clock that was ahead: not in the count any more.
_EARLY = select(memory_spans.c.container, literal(1).label("count")).where(
    memory_spans.c.tenant == bindparam("t"),
    memory_spans.c.end_kind == int(End.EXPIRED),
    memory_spans.c.shown_until > bindparam("now"),
    memory_spans.c.state_until == FOREVER,
    memory_spans.c.forget_after.is_not(None),
)
_UNCOUNTED = union_all(_OVERDUE, _EARLY)


def list_containers(
    conn: Connection, principal: Principal, prefix: str, page: PageRequest, now: int
) -> Page[Container]:
    """By tag; counts are exact at `now`."""
    state = tenant_state(conn, principal.tenant)
    branch = select(
        containers.c.container,
        containers.c.documents,
        containers.c.memories,
        containers.c.create_time,
    ).where(containers.c.tenant == principal.tenant)
    if prefix:
        # Tags are ASCII below DEL, so this bounds exactly those with the prefix.
        branch = branch.where(
            containers.c.container >= prefix, containers.c.container < prefix + "\x7f"
        )
    if principal.containers is not None:
        branch = branch.where(containers.c.container.in_(sorted(principal.containers)))
    rows = conn.execute(
        one_page(branch, [containers.c.container], Order.CREATED_ASC, page), after(page)
    ).all()
    uncounted: Counter[str] = Counter()
    for container, count in conn.execute(_UNCOUNTED, {"t": principal.tenant, "now": now}):
        uncounted[container] += count

    def make(row: Any) -> Container:
        shown = row.memories + uncounted[row.container]
        return Container(row.container, row.documents, shown, row.create_time)

    return cut(rows, make, lambda row: (row.container,), lambda _: 200, page, state)
