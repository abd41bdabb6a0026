"""Reading memories: rows to versions and spans, targets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, exists, select

from service.core import filters as f
from service.core import memories as rules
from service.core.digests import Digester, TenantDigester
from service.core.errors import PalimpsestError, memory_not_found
from service.core.memories import End, Span, Version
from service.core.model import (
    Memory,
    MemoryTarget,
    Principal,
    TemporalContext,
)
from service.core.times import FOREVER
from service.storage.functions import FoundFirst
from service.storage.lists import State
from service.storage.memories.sources import visible_sources
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
COLUMNS = (
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
    memories.c.actor,
    memory_spans.c.shown_from,
    memory_spans.c.shown_until,
    memory_spans.c.state_until,
    memory_spans.c.end_kind,
    memory_spans.c.forget_after,
    memory_spans.c.forget_reason,
    memory_spans.c.end_reason,
    memory_spans.c.forget_batch_id,
)
_SAME_TENANT = memories.c.tenant == memory_spans.c.tenant
SPANS_JOINED = memory_spans.join(
    memories, _SAME_TENANT & (memories.c.id == FoundFirst(memory_spans.c.memory_id))
)
"""Spans with their versions: for what is found by its span."""
VERSIONS_JOINED = memories.join(
    memory_spans, _SAME_TENANT & (memory_spans.c.memory_id == FoundFirst(memories.c.id))
)
"""Versions with their spans: for what is found by its version."""
_ROWS = select(*COLUMNS).select_from(SPANS_JOINED).where(memory_spans.c.tenant == bindparam("t"))
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
ROW_BYTES = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """A version with the span asked for."""

    version: Version
    span: Span


_ENDS = {int(end): end for end in End}


def stored_of(row: Any) -> Stored:
    """A row that begins with COLUMNS."""
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
        actor,
        shown_from,
        shown_until,
        state_until,
        end_kind,
        *rest,
    ) = row[: len(COLUMNS)]
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
            actor or "",
        ),
        Span(shown_from, shown_until, state_until, _ENDS[end_kind], *rest),
    )


@dataclass(frozen=True, slots=True)
class MemoryRead:
    principal: Principal
    container: str
    id: str
    as_of: int | None


def read(
    conn: Connection, digester: Digester, wanted: Sequence[MemoryRead], now: int
) -> list[Memory | PalimpsestError]:
    """Each version as it stood at its instant (None: now), or NOT_FOUND."""
    found: dict[tuple[int, int | None, str], Memory] = {}
    for tenant, as_of in {(item.principal.tenant, item.as_of) for item in wanted}:
        tenant_digester = digester.for_tenant(tenant)
        names = {i.id for i in wanted if i.principal.tenant == tenant and i.as_of == as_of}
        for row in rows_of(conn, tenant, names, as_of):
            memory = shown_memory(tenant_digester, row, as_of, now)
            found[tenant, as_of, memory.id] = memory
    here: dict[int, Memory] = {}
    for index, item in enumerate(wanted):
        there = found.get((item.principal.tenant, item.as_of, item.id))
        if there is not None and there.container == item.container:
            here[index] = there
    shown = visible_sources(
        conn, [(wanted[index].principal, memory) for index, memory in here.items()]
    )
    here = dict(zip(here, shown, strict=True))
    return [here.get(index) or memory_not_found() for index in range(len(wanted))]


def rows_of(
    conn: Connection, tenant: int, names: Iterable[str], as_of: int | None
) -> Iterable[Any]:
    """Versions by id, with their spans at an instant (None: now)."""
    where: dict[str, object] = {"t": tenant, "names": pad_in_list(names)}
    if as_of is None:
        return conn.execute(_CURRENT, where)
    return conn.execute(_BY_ID_AT, {**where, "at": as_of})


def shown_memory(digester: TenantDigester, row: Any, as_of: int | None, wall: int) -> Memory:
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
