"""Reading memories: rows to versions and spans, targets, pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, bindparam, exists, select

from service.core import filters as f
from service.core import memories as rules
from service.core.digests import Digester, TenantDigester
from service.core.errors import PalimpsestError, memory_not_found
from service.core.memories import End, Span, Version
from service.core.model import (
    Memory,
    MemoryQuery,
    MemoryTarget,
    Order,
    PageRequest,
    Position,
    Principal,
    TemporalContext,
)
from service.core.times import FOREVER
from service.ports.store import Page
from service.storage.filters import compile_filter
from service.storage.lists import State, after, cut, merged, one_page, tenant_state
from service.storage.memories.sources import visible_sources, with_visible_sources
from service.storage.tables import memories, memory_spans, tenants
from service.storage.transactions import Snapshot, pad_in_list

_root = memories.alias("root")
FIELDS: dict[f.Field, Any] = {
    # A memory's creation is that of its first version, in filters as in the order of lists.
    f.Field.CREATED: select(_root.c.create_time)
    .where(_root.c.tenant == memories.c.tenant, _root.c.id == memories.c.root_id)
    .correlate(memories)
    .scalar_subquery(),
    f.Field.UPDATED: memories.c.create_time,
    f.Field.DOCUMENT_DATE: memories.c.document_instant,
    f.Field.EVENT_DATES: memories.c.event_instants,
    f.Field.STATIC: memories.c.is_static,
}
_COLUMNS = (
    memories.c.id,
    memories.c.container,
    memories.c.root_id,
    memories.c.parent_id,
    memories.c.version,
    memories.c.content,
    memories.c.metadata,
    memories.c.is_static,
    memories.c.document_date,
    memories.c.event_dates,
    memories.c.source_document_id,
    memories.c.create_time,
    memory_spans.c.shown_from,
    memory_spans.c.shown_until,
    memory_spans.c.state_until,
    memory_spans.c.end_kind,
    memory_spans.c.forget_after,
    memory_spans.c.forget_reason,
    memory_spans.c.end_reason,
    memory_spans.c.forget_batch_id,
)
_SAME_VERSION = (memories.c.tenant == memory_spans.c.tenant) & (
    memories.c.id == memory_spans.c.memory_id
)
SPANS_JOINED = memory_spans.join(memories, _SAME_VERSION)
"""Spans with their versions: for what is found by its span."""
VERSIONS_JOINED = memories.join(memory_spans, _SAME_VERSION)
"""Versions with their spans: for what is found by its version."""
_ROWS = select(*_COLUMNS).select_from(SPANS_JOINED).where(memory_spans.c.tenant == bindparam("t"))
_BY_ID_AT = _ROWS.where(
    memory_spans.c.memory_id.in_(bindparam("names", expanding=True)),
    memory_spans.c.shown_from <= bindparam("at"),
    memory_spans.c.state_until > bindparam("at"),
)
_CURRENT = _ROWS.where(
    memory_spans.c.memory_id.in_(bindparam("names", expanding=True)),
    memory_spans.c.state_until == FOREVER,
)
_BY_CONTENT = _ROWS.where(
    memory_spans.c.container == bindparam("in_container"),
    memory_spans.c.content_hash.in_(bindparam("hashes", expanding=True)),
    memory_spans.c.end_kind.in_((int(End.OPEN), int(End.EXPIRED))),
    memory_spans.c.shown_until > bindparam("wall"),
    memory_spans.c.state_until == FOREVER,
).limit(bindparam("most"))
_EARLY = select(
    tenants.c.revision,
    tenants.c.last_time,
    exists()
    .where(
        memory_spans.c.tenant == bindparam("t"),
        memory_spans.c.end_kind == int(End.EXPIRED),
        memory_spans.c.shown_until > bindparam("wall"),
        memory_spans.c.forget_after.is_not(None),
    )
    .label("early"),
).where(tenants.c.tenant == bindparam("t"))
_BY_BATCH = _ROWS.where(memory_spans.c.forget_batch_id == bindparam("batch"))
_newer = memories.alias("newer")
_LATEST = select(memories.c.root_id, memories.c.id).where(
    memories.c.tenant == bindparam("t"),
    memories.c.root_id.in_(bindparam("roots", expanding=True)),
    ~exists().where(
        _newer.c.tenant == memories.c.tenant,
        _newer.c.root_id == memories.c.root_id,
        _newer.c.version == memories.c.version + 1,
    ),
)
_ROW_BYTES = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """A version with the span asked for."""

    version: Version
    span: Span


_ENDS = {int(end): end for end in End}


def stored_of(row: Any) -> Stored:
    """A row that begins with _COLUMNS."""
    (
        memory_id,
        container,
        root_id,
        parent_id,
        version,
        content,
        metadata,
        is_static,
        document_date,
        event_dates,
        source_document_id,
        create_time,
        shown_from,
        shown_until,
        state_until,
        end_kind,
        *rest,
    ) = row[: len(_COLUMNS)]
    events = () if event_dates == "[]" else tuple(json.loads(event_dates))
    return Stored(
        Version(
            memory_id,
            container,
            root_id,
            parent_id,
            version,
            str(content, "utf-8"),
            metadata,
            bool(is_static),
            TemporalContext(document_date, events),
            source_document_id,
            create_time,
        ),
        Span(shown_from, shown_until, state_until, _ENDS[end_kind], *rest),
    )


@dataclass(frozen=True, slots=True)
class MemoryRead:
    who: Principal
    container: str
    id: str
    as_of: int | None


def read(
    conn: Connection, digester: Digester, wanted: Sequence[MemoryRead], now: int
) -> list[Memory | PalimpsestError]:
    """Each version as it stood at its instant (None: now), or NOT_FOUND."""
    found: dict[tuple[int, int | None, str], Memory] = {}
    for tenant, as_of in {(item.who.tenant, item.as_of) for item in wanted}:
        tenant_digester = digester.for_tenant(tenant)
        names = pad_in_list({i.id for i in wanted if i.who.tenant == tenant and i.as_of == as_of})
        where: dict[str, object] = {"t": tenant, "names": names}
        if as_of is None:
            rows = conn.execute(_CURRENT, where)
        else:
            rows = conn.execute(_BY_ID_AT, {**where, "at": as_of})
        for row in rows:
            memory = _seen(tenant_digester, row, as_of, now)
            found[tenant, as_of, memory.id] = memory
    here: dict[int, Memory] = {}
    for index, item in enumerate(wanted):
        there = found.get((item.who.tenant, item.as_of, item.id))
        if there is not None and there.container == item.container:
            here[index] = there
    shown = visible_sources(conn, [(wanted[index].who, memory) for index, memory in here.items()])
    here = dict(zip(here, shown, strict=True))
    return [here.get(index) or memory_not_found() for index in range(len(wanted))]


def _seen(digester: TenantDigester, row: Any, as_of: int | None, wall: int) -> Memory:
    """A row as it stood at an instant, or (None) stands now."""
    stored = stored_of(row)
    span = stored.span
    over = span.over(wall) if as_of is None else span.over_at(as_of)
    return rules.view(digester, stored.version, span, over=over)


def shown_ends(conn: Connection, tenant: int, wall: int) -> tuple[State, tuple[End, ...]]:
    """The tenant's state, and the ends that a span can have which is shown now.

    One is EXPIRED only if that was recorded while a clock was ahead.
    """
    revision, time, early = conn.execute(_EARLY, {"t": tenant, "wall": wall}).one()
    return State(revision, time), (End.OPEN, End.EXPIRED) if early else (End.OPEN,)


def current(tx: Snapshot, names: Iterable[str]) -> dict[str, Stored]:
    """Versions by id, with their current spans."""
    wanted = pad_in_list(names)
    if not wanted:
        return {}
    rows = tx.conn.execute(_CURRENT, {"t": tx.tenant, "names": wanted})
    return {stored.version.id: stored for stored in map(stored_of, rows)}


def resolve(tx: Snapshot, targets: Sequence[MemoryTarget]) -> list[Stored | PalimpsestError]:
    """What each target means now: a latest, remembered version, or why not."""
    by_id = current(tx, {t.id for t in targets if t.id is not None})
    by_content = _with_contents(tx, [t for t in targets if t.id is None])
    latest = _latest(tx, by_id.values())
    results: list[Stored | PalimpsestError] = []
    for target in targets:
        if target.id is not None:
            results.append(_resolve_id(tx, target, by_id.get(target.id), latest))
            continue
        matches = by_content.get((target.container, target.content or ""), [])
        if not matches:
            results.append(memory_not_found())
        elif len(matches) > 1:
            results.append(rules.ambiguous([stored.version.id for stored in matches]))
        else:
            results.append(matches[0])
    return results


def _resolve_id(
    tx: Snapshot, target: MemoryTarget, stored: Stored | None, latest: dict[str, str]
) -> Stored | PalimpsestError:
    if stored is None or stored.version.container != target.container:
        return memory_not_found()
    if target.content is not None and target.content != stored.version.content:
        return rules.content_mismatch(stored.version.id)
    if stored.span.end is End.SUPERSEDED:
        return rules.not_latest(latest[stored.version.root_id])
    if stored.span.over(tx.wall):
        return rules.already_forgotten(stored.version.id)
    return stored


def _with_contents(
    tx: Snapshot, targets: Sequence[MemoryTarget]
) -> dict[tuple[str, str], list[Stored]]:
    found: dict[tuple[str, str], list[Stored]] = {}
    for container in {target.container for target in targets}:
        hashes = {
            tx.digester.content(target.content or "")
            for target in targets
            if target.container == container
        }
        for row in _having(tx, container, pad_in_list(hashes)):
            stored = stored_of(row)
            found.setdefault((container, stored.version.content), []).append(stored)
    return found


def _having(tx: Snapshot, container: str, hashes: Sequence[bytes]) -> Sequence[Any]:
    """Memories with these contents; of one that very many have, enough to say so."""
    where = {"t": tx.tenant, "in_container": container, "wall": tx.wall}
    most = rules.NAMED * 2 + len(hashes)
    rows = tx.conn.execute(_BY_CONTENT, {**where, "hashes": hashes, "most": most}).all()
    if len(rows) < most:
        return rows
    return [
        row
        for digest in set(hashes)
        for row in tx.conn.execute(
            _BY_CONTENT, {**where, "hashes": [digest], "most": rules.NAMED + 1}
        )
    ]


def _latest(tx: Snapshot, stored: Iterable[Stored]) -> dict[str, str]:
    roots = {s.version.root_id for s in stored if s.span.end is End.SUPERSEDED}
    return latest_ids(tx, roots)


def latest_ids(tx: Snapshot, roots: Iterable[str]) -> dict[str, str]:
    """The latest version's id of each chain."""
    wanted = pad_in_list(roots)
    if not wanted:
        return {}
    rows = tx.conn.execute(_LATEST, {"t": tx.tenant, "roots": wanted})
    return {row.root_id: row.id for row in rows}


def forgotten_by(tx: Snapshot, batch: str) -> list[Stored]:
    """Every span that a forget batch ended."""
    rows = tx.conn.execute(_BY_BATCH, {"t": tx.tenant, "batch": batch})
    return sorted((stored_of(row) for row in rows), key=lambda s: s.version.id)


def list_memories(
    conn: Connection,
    digester: Digester,
    who: Principal,
    query: MemoryQuery,
    page: PageRequest,
    now: int,
) -> Page[Memory]:
    state, shown = shown_ends(conn, who.tenant, now)
    as_of = query.as_of
    keys = _keys(query)
    condition = None
    if query.filter is not None:
        condition = compile_filter(query.filter, memories, FIELDS, conn.dialect.name)
    # Nothing moves in a past that is listed: what was written since is no reason to leave out.
    moved = memory_spans.c.revision if as_of is None else None
    ends = _ends_now(query, shown, now) if as_of is None else _ends_then(query, as_of)
    branches = []
    for container in query.containers:
        for end, conditions in ends:
            branch = (
                select(*_COLUMNS)
                .add_columns(memory_spans.c.memory_id)
                .select_from(SPANS_JOINED)
                .where(
                    memory_spans.c.tenant == who.tenant,
                    memory_spans.c.container == container,
                    memory_spans.c.end_kind == int(end),
                    *conditions,
                )
            )
            if condition is not None:
                branch = branch.where(condition)
            if page.began is not None and query.include_history:
                # Else a memory that is updated at every page would hold up all that follow.
                there = memories.c.create_time <= page.began
                branch = branch.where(there | (memories.c.version == 1))
            branches.append(one_page(branch, keys, query.order, page, moved))
    statement = merged(branches, [key.name for key in keys], query.order, page)
    rows = conn.execute(statement, after(page)).all()
    tenant_digester = digester.for_tenant(who.tenant)

    def make(row: Any) -> Memory:
        return _seen(tenant_digester, row, as_of, now)

    def position(row: Any) -> Position:
        return tuple(getattr(row, key.name) for key in keys)

    listed = cut(rows, make, position, _weight, page, state)
    return with_visible_sources(conn, who, listed)


def _keys(query: MemoryQuery) -> list[ColumnElement[Any]]:
    """What the list is ordered by, and a position in it consists of."""
    if query.order.by_update:
        return [memory_spans.c.memory_id]
    if query.include_history:
        return [memory_spans.c.root_id, memory_spans.c.memory_id]
    # A chain is one item: the version that is listed may be a newer one at the next page.
    return [memory_spans.c.root_id]


Ends: TypeAlias = list[tuple[End, tuple[ColumnElement[bool], ...]]]
"""Ends that a span can have to be listed, each with what else must be true of it."""


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
    return 3 * len(memory.content) + len(memory.metadata) + _ROW_BYTES


def list_versions(
    conn: Connection,
    digester: Digester,
    who: Principal,
    container: str,
    memory_id: str,
    page: PageRequest,
    now: int,
) -> Page[Memory]:
    """The chain of a version, newest first; raises MEMORY_NOT_FOUND."""
    state = tenant_state(conn, who.tenant)
    root = conn.execute(
        select(memories.c.root_id).where(
            memories.c.tenant == who.tenant,
            memories.c.id == memory_id,
            memories.c.container == container,
        )
    ).scalar_one_or_none()
    if root is None:
        raise memory_not_found()
    branch = (
        select(*_COLUMNS)
        .select_from(VERSIONS_JOINED)
        .where(
            memories.c.tenant == who.tenant,
            memories.c.root_id == root,
            memory_spans.c.state_until == FOREVER,
        )
    )
    rows = conn.execute(
        one_page(branch, [memories.c.version], Order.CREATED_DESC, page), after(page)
    ).all()

    tenant_digester = digester.for_tenant(who.tenant)

    def make(row: Any) -> Memory:
        return _seen(tenant_digester, row, None, now)

    listed = cut(rows, make, lambda row: (row.version,), _weight, page, state)
    return with_visible_sources(conn, who, listed)
