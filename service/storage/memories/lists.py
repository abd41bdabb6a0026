"""Listing memories, and the versions of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, select

from service.core.digests import Digester
from service.core.errors import memory_not_found
from service.core.memories import End
from service.core.model import (
    Memory,
    MemoryQuery,
    Order,
    PageNumber,
    PageRequest,
    Position,
    Principal,
)
from service.core.times import FOREVER
from service.ports.store import NumberedPage, Page
from service.storage.filters import compile_filter
from service.storage.lists import (
    after,
    cut,
    merged,
    numbered,
    one_page,
    place,
    tenant_state,
    visible_containers,
    whole,
)
from service.storage.memories.rows import (
    COLUMNS,
    FIELDS,
    ROW_BYTES,
    SPANS_JOINED,
    VERSIONS_JOINED,
    rows_of,
    shown_ends,
    shown_memory,
)
from service.storage.memories.sources import (
    is_source_visible,
    visible_sources,
    with_visible_sources,
)
from service.storage.tables import memories, memory_spans

Ends: TypeAlias = list[tuple[End, tuple[ColumnElement[bool], ...]]]
"""Ends that a span can have to be listed, each with what else must be true of it."""


def list_memories(
    conn: Connection,
    digester: Digester,
    principal: Principal,
    query: MemoryQuery,
    page: PageRequest,
    now: int,
) -> Page[Memory]:
    state, shown = shown_ends(conn, principal.tenant, now)
    if not is_source_visible(conn, principal, query.source_document_id):
        return Page((), None, state.revision, state.time)
    as_of = query.as_of
    keys = _keys(query)
    # Nothing moves in a past that is listed: what was written since is no reason to leave out.
    moved = memory_spans.c.revision if as_of is None else None
    base = select(*COLUMNS).add_columns(memory_spans.c.memory_id).select_from(SPANS_JOINED)
    if page.began is not None and query.include_history:
        # Else a memory that is updated at every page would hold up all that follow.
        base = base.where((memories.c.create_time <= page.began) | (memories.c.version == 1))
    ends = _ends(query, shown, now)
    branches = [
        one_page(branch, keys, query.order, page, moved)
        for branch in _branches(base, conn, principal, query, ends)
    ]
    statement = merged(branches, [key.name for key in keys], query.order, page)
    rows = conn.execute(statement, after(page)).all()
    tenant_digester = digester.for_tenant(principal.tenant)

    def make(row: Any) -> Memory:
        return shown_memory(tenant_digester, row, as_of, now)

    def position(row: Any) -> Position:
        return tuple(getattr(row, key.name) for key in keys)

    listed = cut(rows, make, position, _weight, page, state)
    return with_visible_sources(conn, principal, listed)


def numbered_memories(
    conn: Connection,
    digester: Digester,
    principal: Principal,
    query: MemoryQuery,
    page: PageNumber,
    now: int,
) -> NumberedPage[Memory]:
    state, shown = shown_ends(conn, principal.tenant, now)
    if not is_source_visible(conn, principal, query.source_document_id):
        return NumberedPage((), 0, state.revision)
    keys = _keys(query)
    base = select(memory_spans.c.memory_id, memory_spans.c.root_id).select_from(
        SPANS_JOINED if query.filter or query.source_document_id else memory_spans
    )
    ends = _ends(query, shown, now)
    branches = _branches(base, conn, principal, query, ends)
    statements = numbered([(branch, keys) for branch in branches], query.order)
    total = sum(conn.execute(statements.counting).scalars())
    if page.offset >= total:
        return NumberedPage((), total, state.revision)
    names = [row.memory_id for row in conn.execute(statements.rows, place(page))]
    found = {row.id: row for row in rows_of(conn, principal.tenant, names, query.as_of)}
    tenant_digester = digester.for_tenant(principal.tenant)

    def make(row: Any) -> Memory:
        return shown_memory(tenant_digester, row, query.as_of, now)

    items = whole([found[name] for name in names], make, _weight, page)
    seen = visible_sources(conn, [(principal, memory) for memory in items])
    return NumberedPage(seen, total, state.revision)


def _branches(
    base: Select[Any], conn: Connection, principal: Principal, query: MemoryQuery, ends: Ends
) -> Iterator[Select[Any]]:
    """`base` for each container and end: no two have a memory in common."""
    if query.filter is not None:
        base = base.where(compile_filter(query.filter, memories, FIELDS, conn.dialect.name))
    if query.source_document_id is not None:
        base = base.where(memories.c.source_document_id == query.source_document_id)
    for container in query.containers or visible_containers(conn, principal):
        for end, conditions in ends:
            yield base.where(
                memory_spans.c.tenant == principal.tenant,
                memory_spans.c.container == container,
                memory_spans.c.end_kind == int(end),
                *conditions,
            )


def _keys(query: MemoryQuery) -> list[ColumnElement[Any]]:
    """What the list is ordered by, and a position in it consists of."""
    if query.order.by_update:
        return [memory_spans.c.memory_id]
    if query.include_history:
        return [memory_spans.c.root_id, memory_spans.c.memory_id]
    # A chain is one item: the version that is listed may be a newer one at the next page.
    return [memory_spans.c.root_id]


def _ends(query: MemoryQuery, shown: Iterable[End], wall: int) -> Ends:
    if query.as_of is None:
        return _ends_now(query, shown, wall)
    return _ends_then(query, query.as_of)


def _ends_now(query: MemoryQuery, shown: Iterable[End], wall: int) -> Ends:
    current = memory_spans.c.state_until == FOREVER
    found: Ends = []
    if query.include_forgotten:
        found += [(end, (current,)) for end in (End.OPEN, End.FORGOTTEN, End.EXPIRED)]
    else:
        found += [(end, (current, memory_spans.c.shown_until > wall)) for end in shown]
    if query.include_history:
        found.append((End.SUPERSEDED, (current,)))
    return found


def _ends_then(query: MemoryQuery, as_of: int) -> Ends:
    """At an instant of the past, any end can still lie ahead."""
    there = (memory_spans.c.shown_from <= as_of, memory_spans.c.state_until > as_of)
    shown = (*there, memory_spans.c.shown_until > as_of)
    return [
        (
            end,
            there
            if (query.include_history if end is End.SUPERSEDED else query.include_forgotten)
            else shown,
        )
        for end in End
    ]


def _weight(memory: Memory) -> int:
    return 3 * len(memory.content) + len(memory.metadata) + ROW_BYTES


def list_versions(
    conn: Connection,
    digester: Digester,
    principal: Principal,
    container: str,
    memory_id: str,
    page: PageRequest,
    now: int,
) -> Page[Memory]:
    """The chain of a version, newest first; raises MEMORY_NOT_FOUND."""
    state = tenant_state(conn, principal.tenant)
    root = conn.execute(
        select(memories.c.root_id).where(
            memories.c.tenant == principal.tenant,
            memories.c.id == memory_id,
            memories.c.container == container,
        )
    ).scalar_one_or_none()
    if root is None:
        raise memory_not_found()
    branch = (
        select(*COLUMNS)
        .select_from(VERSIONS_JOINED)
        .where(
            memories.c.tenant == principal.tenant,
            memories.c.root_id == root,
            memory_spans.c.state_until == FOREVER,
        )
    )
    rows = conn.execute(
        one_page(branch, [memories.c.version], Order.CREATED_DESC, page), after(page)
    ).all()

    tenant_digester = digester.for_tenant(principal.tenant)

    def make(row: Any) -> Memory:
        return shown_memory(tenant_digester, row, None, now)

    listed = cut(rows, make, lambda row: (row.version,), _weight, page, state)
    return with_visible_sources(conn, principal, listed)
