"""Pages in key order: one indexed branch per container, merged by a bounded sort."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Integer,
    Select,
    bindparam,
    func,
    select,
    tuple_,
    union_all,
)

from service.core.errors import Violation, invalid
from service.core.model import (
    DEFAULT_CONTAINER,
    Order,
    PageNumber,
    PageRequest,
    Position,
    Principal,
)
from service.ports.store import Page
from service.storage.tables import containers, tenants

T = TypeVar("T")

_REVISION = select(tenants.c.revision).where(tenants.c.tenant == bindparam("t"))
_STATE = select(tenants.c.revision, tenants.c.last_time).where(tenants.c.tenant == bindparam("t"))


_CONTAINERS = (
    select(containers.c.container)
    .where(containers.c.tenant == bindparam("t"))
    .order_by(containers.c.container)
)
_CONTAINERS_OF_KEY = _CONTAINERS.where(
    containers.c.container.in_(bindparam("visible", expanding=True))
)

MOST_CONTAINERS: Final = 100
"""Containers that one list or search is about, at most; as many as a request can name."""


def visible_containers(conn: Connection, principal: Principal) -> tuple[str, ...]:
    """The containers of a list or search that names none: all that the key may see.

    Where there are none yet, one that the key could see: what is empty has an answer, too.

    Raises:
        PalimpsestError: INVALID_REQUEST if there are more than MOST_CONTAINERS.
    """
    values: dict[str, object] = {"t": principal.tenant}
    statement = _CONTAINERS
    if principal.containers is not None:
        statement, values["visible"] = _CONTAINERS_OF_KEY, sorted(principal.containers)
    found = tuple(conn.execute(statement.limit(MOST_CONTAINERS + 1), values).scalars())
    if len(found) > MOST_CONTAINERS:
        rule = f"must name some: the key may see more than {MOST_CONTAINERS} containers"
        raise invalid([Violation("container_tags", rule)])
    return found or (min(principal.containers or (DEFAULT_CONTAINER,)),)


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
    return branch.order_by(*_sorting(keys, order)).limit(page.size + 1)


def _sorting(keys: Iterable[ColumnElement[Any]], order: Order) -> list[ColumnElement[Any]]:
    return [key.desc() if order.descending else key.asc() for key in keys]


def merged(
    branches: Sequence[Select[Any]], names: Sequence[str], order: Order, page: PageRequest
) -> Select[Any]:
    """The branches as one list: at most (size + 1) rows of each are sorted."""
    if len(branches) == 1:
        return branches[0]
    union = union_all(*(select(branch.subquery()) for branch in branches)).subquery()
    sorting = _sorting((union.c[name] for name in names), order)
    return select(union).order_by(*sorting).limit(page.size + 1)


Branch: TypeAlias = tuple[Select[Any], Sequence[ColumnElement[Any]]]
"""Rows, and what they are sorted by."""


class Numbered(NamedTuple):
    """The statements of a page by its number."""

    counting: Executable
    """Numbers that together are the total."""
    rows: Executable
    """The rows of the page that `place` gives the parameters of."""


def numbered(branches: Sequence[Branch], order: Order) -> Numbered:
    """Statements for the rows of branches that have no row in common.

    Rows are sorted before the page is cut out of them: they should be keys alone.
    """
    counts = [
        branch.with_only_columns(func.count(), maintain_column_froms=True) for branch, _ in branches
    ]
    size = bindparam("size", type_=Integer())
    offset = bindparam("offset", type_=Integer())
    reach = bindparam("reach", type_=Integer())
    if len(branches) == 1:
        [(branch, keys)] = branches
        rows = branch.order_by(*_sorting(keys, order)).limit(size).offset(offset)
        return Numbered(counts[0], rows)
    first = [branch.order_by(*_sorting(keys, order)).limit(reach) for branch, keys in branches]
    union = union_all(*(select(branch.subquery()) for branch in first)).subquery()
    sorting = _sorting((union.c[key.name] for key in branches[0][1]), order)
    return Numbered(union_all(*counts), select(union).order_by(*sorting).limit(size).offset(offset))


def place(page: PageNumber) -> dict[str, int]:
    """Values of the parameters that `Numbered.rows` leaves open."""
    return {"size": page.size, "offset": page.offset, "reach": page.offset + page.size}


def whole(
    rows: Iterable[Any], make: Callable[[Any], T], weight: Callable[[T], int], page: PageNumber
) -> list[T]:
    """The items of a page; raises INVALID_REQUEST if they are too large together."""
    items: list[T] = []
    total = 0
    for row in rows:
        item = make(row)
        total += weight(item)
        if total > page.max_bytes:
            rule = f"must be smaller: the page has more than {page.max_bytes} bytes"
            raise invalid([Violation("limit", rule)])
        items.append(item)
    return items


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
