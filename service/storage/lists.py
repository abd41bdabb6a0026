"""Pages in key order: one indexed branch per container, merged by a bounded sort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select, tuple_, union_all

from service.core.model import Order, PageRequest, Position
from service.ports.store import Page
from service.storage.tables import tenants

T = TypeVar("T")

_REVISION = select(tenants.c.revision).where(tenants.c.tenant == bindparam("t"))
_STATE = select(tenants.c.revision, tenants.c.last_time).where(tenants.c.tenant == bindparam("t"))


def tenant_revision(conn: Connection, tenant: int) -> int:
    return int(conn.execute(_REVISION, {"t": tenant}).scalar_one())


class State(NamedTuple):
    """The state of a tenant that a page is read from."""

    revision: int
    time: int
    """Of the last write, in microseconds: whatever is written later has a later time."""


def tenant_state(conn: Connection, tenant: int) -> State:
    revision, time = conn.execute(_STATE, {"t": tenant}).one()
    return State(revision, time)


def after(page: PageRequest) -> dict[str, str | int]:
    """Values of the parameters that `one_page` leaves open."""
    values: dict[str, str | int] = {
        f"after_{index}": value for index, value in enumerate(page.after or ())
    }
    if page.upto is not None:
        values["upto"] = page.upto
    return values


def shape_of(page: PageRequest) -> PageRequest:
    """The page as far as its statement depends on it: equal for all but the first."""
    return PageRequest(
        page.size,
        None if page.after is None else (),
        None if page.upto is None else 0,
    )


def one_page(
    branch: Select[Any],
    keys: Sequence[ColumnElement[Any]],
    order: Order,
    page: PageRequest,
    revision: ColumnElement[Any] | None = None,
) -> Select[Any]:
    """The rows of a branch after the page's position, in order, one too many.

    The position itself is a parameter (see `after`), so that every page of a
    listing is the same statement. `revision` is the column of the last write,
    where the order is by update.
    """
    if page.upto is not None and order.by_update and revision is not None:
        branch = branch.where(revision <= bindparam("upto", type_=revision.type))
    if page.after is not None:
        names = [bindparam(f"after_{index}", type_=key.type) for index, key in enumerate(keys)]
        here, there = (tuple_(*keys), tuple_(*names)) if len(keys) > 1 else (keys[0], names[0])
        branch = branch.where(here < there if order.descending else here > there)
    sorting = [key.desc() if order.descending else key.asc() for key in keys]
    return branch.order_by(*sorting).limit(page.size + 1)


def merged(
    branches: Sequence[Select[Any]], names: Sequence[str], order: Order, page: PageRequest
) -> Select[Any]:
    """The branches as one list: at most (size + 1) rows of each are sorted."""
    if len(branches) == 1:
        return branches[0]
    union = union_all(*(select(branch.subquery()) for branch in branches)).subquery()
    keys = [union.c[name] for name in names]
    sorting = [key.desc() if order.descending else key.asc() for key in keys]
    return select(union).order_by(*sorting).limit(page.size + 1)


def cut(
    rows: Sequence[Any],
    make: Callable[[Any], T],
    position: Callable[[Any], Position],
    weight: Callable[[T], int],
    page: PageRequest,
    state: State,
) -> Page[T]:
    """At most `size` items and `max_bytes`, but at least one where there is one."""
    items: list[T] = []
    total = 0
    for row in rows[: page.size]:
        item = make(row)
        total += weight(item)
        if items and total > page.max_bytes:
            break
        items.append(item)
    more = len(items) < len(rows)
    following = position(rows[len(items) - 1]) if more else None
    return Page(items, following, state.revision, state.time)
