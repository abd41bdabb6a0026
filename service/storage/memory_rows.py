"""Reading memories: rows to versions and spans, targets, pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, exists, select

from service.core import filters as f
from service.core import memories as rules
from service.core.digests import Digester
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
from service.core.store import Page
from service.core.times import FOREVER
from service.storage.filters import compile_filter
from service.storage.lists import after, cut, merged, one_page, tenant_revision
from service.storage.memory_sources import visible_sources, with_visible_sources
from service.storage.tables import memories, memory_spans
from service.storage.transactions import TenantTx, padded

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
_AT = (
    memory_spans.c.shown_from <= bindparam("at"),
    memory_spans.c.state_until > bindparam("at"),
)
_BY_ID_AT = _ROWS.where(memory_spans.c.memory_id.in_(bindparam("names", expanding=True)), *_AT)
_CURRENT = _ROWS.where(
    memory_spans.c.memory_id.in_(bindparam("names", expanding=True)),
    memory_spans.c.state_until == FOREVER,
)
_BY_CONTENT = _ROWS.where(
    memory_spans.c.container == bindparam("in_container"),
    memory_spans.c.content_hash.in_(bindparam("hashes", expanding=True)),
    memory_spans.c.end_kind == int(End.OPEN),
)
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
        at = now if as_of is None else as_of
        tenant_digester = digester.for_tenant(tenant)
        names = {i.id for i in wanted if i.who.tenant == tenant and i.as_of == as_of}
        for row in conn.execute(_BY_ID_AT, {"t": tenant, "names": padded(names), "at": at}):
            stored = stored_of(row)
            memory = rules.view(tenant_digester, stored.version, stored.span, at)
            found[tenant, as_of, memory.id] = memory
    here: dict[int, Memory] = {}
    for index, item in enumerate(wanted):
        there = found.get((item.who.tenant, item.as_of, item.id))
        if there is not None and there.container == item.container:
            here[index] = there
    shown = visible_sources(conn, [(wanted[index].who, memory) for index, memory in here.items()])
    here = dict(zip(here, shown, strict=True))
    return [here.get(index) or memory_not_found() for index in range(len(wanted))]


def current(tx: TenantTx, names: Iterable[str]) -> dict[str, Stored]:
    """Versions by id, with their current spans."""
    wanted = padded(names)
    if not wanted:
        return {}
    rows = tx.conn.execute(_CURRENT, {"t": tx.tenant, "names": wanted})
    return {stored.version.id: stored for stored in map(stored_of, rows)}


def resolve(tx: TenantTx, targets: Sequence[MemoryTarget]) -> list[Stored | PalimpsestError]:
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
    tx: TenantTx, target: MemoryTarget, stored: Stored | None, latest: dict[str, str]
) -> Stored | PalimpsestError:
    if stored is None or stored.version.container != target.container:
        return memory_not_found()
    if target.content is not None and target.content != stored.version.content:
        return rules.content_mismatch(stored.version.id)
    if stored.span.end is End.SUPERSEDED:
        return rules.not_latest(latest[stored.version.root_id])
    if tx.now >= stored.span.shown_until:
        return rules.already_forgotten(stored.version.id)
    return stored


def _with_contents(
    tx: TenantTx, targets: Sequence[MemoryTarget]
) -> dict[tuple[str, str], list[Stored]]:
    found: dict[tuple[str, str], list[Stored]] = {}
    for container in {target.container for target in targets}:
        hashes = {
            tx.digester.content(target.content or "")
            for target in targets
            if target.container == container
        }
        rows = tx.conn.execute(
            _BY_CONTENT, {"t": tx.tenant, "in_container": container, "hashes": padded(hashes)}
        )
        for row in rows:
            stored = stored_of(row)
            if tx.now < stored.span.shown_until:
                found.setdefault((container, stored.version.content), []).append(stored)
    return found


def _latest(tx: TenantTx, stored: Iterable[Stored]) -> dict[str, str]:
    roots = {s.version.root_id for s in stored if s.span.end is End.SUPERSEDED}
    return latest_ids(tx, roots)


def latest_ids(tx: TenantTx, roots: Iterable[str]) -> dict[str, str]:
    """The latest version's id of each chain."""
    wanted = padded(roots)
    if not wanted:
        return {}
    rows = tx.conn.execute(_LATEST, {"t": tx.tenant, "roots": wanted})
    return {row.root_id: row.id for row in rows}


def forgotten_by(tx: TenantTx, batch: str) -> list[Stored]:
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
    revision = tenant_revision(conn, who.tenant)
    at = now if query.as_of is None else query.as_of
    keys = [memory_spans.c.memory_id]
    if not query.order.by_update:
        keys.insert(0, memory_spans.c.root_id)
    condition = compile_filter(query.filter, memories, FIELDS) if query.filter else None
    # Nothing moves in a past that is listed: what was written since is no reason to leave out.
    moved = memory_spans.c.revision if query.as_of is None else None
    branches = []
    for container in query.containers:
        for end in _ends(query):
            branch = (
                select(*_COLUMNS)
                .add_columns(memory_spans.c.memory_id)
                .select_from(SPANS_JOINED)
                .where(
                    memory_spans.c.tenant == who.tenant,
                    memory_spans.c.container == container,
                    memory_spans.c.end_kind == int(end),
                    memory_spans.c.shown_from <= at,
                    memory_spans.c.state_until > at,
                    *_shown(query, end, at),
                )
            )
            if condition is not None:
                branch = branch.where(condition)
            branches.append(one_page(branch, keys, query.order, page, moved))
    statement = merged(branches, [key.name for key in keys], query.order, page)
    rows = conn.execute(statement, after(page)).all()
    tenant_digester = digester.for_tenant(who.tenant)

    def make(row: Any) -> Memory:
        stored = stored_of(row)
        return rules.view(tenant_digester, stored.version, stored.span, at)

    def position(row: Any) -> Position:
        return tuple(getattr(row, key.name) for key in keys)

    listed = cut(rows, make, position, _weight, page, revision)
    return with_visible_sources(conn, who, listed)


def _ends(query: MemoryQuery) -> Iterator[End]:
    """Which ends a span can have had to be listed: at a past instant, any."""
    yield End.OPEN
    if query.as_of is not None or query.include_forgotten:
        yield End.FORGOTTEN
        yield End.EXPIRED
    if query.as_of is not None or query.include_history:
        yield End.SUPERSEDED


def _shown(query: MemoryQuery, end: End, at: int) -> list[ColumnElement[bool]]:
    over = query.include_history if end is End.SUPERSEDED else query.include_forgotten
    return [] if over else [memory_spans.c.shown_until > at]


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
    revision = tenant_revision(conn, who.tenant)
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
        stored = stored_of(row)
        return rules.view(tenant_digester, stored.version, stored.span, now)

    listed = cut(rows, make, lambda row: (row.version,), _weight, page, revision)
    return with_visible_sources(conn, who, listed)


def matching(
    conn: Connection, tenant: int, container: str, filter_: f.Filter, at: int, limit: int
) -> list[Stored]:
    """Latest, remembered memories for which the filter is true, oldest first."""
    rows = conn.execute(
        select(*_COLUMNS)
        .select_from(SPANS_JOINED)
        .where(
            memory_spans.c.tenant == tenant,
            memory_spans.c.container == container,
            memory_spans.c.end_kind == int(End.OPEN),
            memory_spans.c.shown_until > at,
            compile_filter(filter_, memories, FIELDS),
        )
        .order_by(memory_spans.c.root_id, memory_spans.c.memory_id)
        .limit(limit)
    )
    return [stored_of(row) for row in rows]
