"""What searches read: a container's index rows, and what has changed of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    bindparam,
    case,
    exists,
    or_,
    select,
)

from service.core import filters as f
from service.core.digests import Digester
from service.core.indexing import IndexDelta, IndexRow
from service.core.memories import MADE, End
from service.core.times import FOREVER
from service.storage.document_lists import FIELDS as DOCUMENT_FIELDS
from service.storage.filters import compile_filter
from service.storage.memory_rows import FIELDS as MEMORY_FIELDS
from service.storage.memory_rows import SPANS_JOINED, VERSIONS_JOINED
from service.storage.tables import (
    changes,
    chunks,
    document_containers,
    documents,
    memories,
    memory_spans,
    tenants,
)
from service.storage.transactions import padded

MANY = 16_000
"""Changes after which reading all of a container anew is no dearer.

Also few enough for one list of parameters: SQLite allows 32,766 unless built otherwise."""

BLOCK = 1000
"""Rows fetched at once."""

Rows: TypeAlias = CursorResult[Any] | None


def _since(container: str) -> tuple[ColumnElement[bool], ...]:
    return (
        changes.c.tenant == bindparam("t"),
        changes.c.container == bindparam(container),
        changes.c.revision > bindparam("after"),
    )


# A container's changes are under a digest of its tag once it has been deleted.
_NAMES = ("in_container", "erased_as")
_NEWS = select(
    tenants.c.revision,
    or_(
        *(exists().where(*_since(name)) for name in _NAMES),
        tenants.c.oldest_revision > bindparam("following"),
    ),
).where(tenants.c.tenant == bindparam("t"))
_CHANGES = [
    select(changes.c.kind, changes.c.entity_id)
    .where(*_since(name), changes.c.revision <= bindparam("upto"))
    .order_by(changes.c.revision)
    .limit(MANY + 1)
    for name in _NAMES
]
_TENANT = select(tenants.c.revision, tenants.c.oldest_revision).where(
    tenants.c.tenant == bindparam("t")
)

_MADE = [int(end) for end in MADE]
_MEMORY_COLUMNS = (
    memories.c.id,
    memories.c.root_id,
    memories.c.version,
    memories.c.entry,
    memories.c.vector,
    memories.c.embedder,
    memory_spans.c.content_hash,
    memory_spans.c.shown_from,
    memory_spans.c.shown_until,
    case(
        (
            (memory_spans.c.state_until == FOREVER) & memory_spans.c.end_kind.not_in(_MADE),
            memory_spans.c.shown_until,
        ),
        else_=0,
    ).label("until"),
)
_MEMORIES = (
    select(*_MEMORY_COLUMNS)
    .select_from(SPANS_JOINED)
    .where(
        memory_spans.c.tenant == bindparam("t"),
        memory_spans.c.container == bindparam("in_container"),
        memory_spans.c.end_kind.in_([int(end) for end in End]),
    )
)
_ROOTS = select(memories.c.id, memories.c.root_id).where(
    memories.c.tenant == bindparam("t"), memories.c.id.in_(bindparam("names", expanding=True))
)
_CHAINS = (
    select(*_MEMORY_COLUMNS)
    .select_from(VERSIONS_JOINED)
    .where(
        memories.c.tenant == bindparam("t"),
        memories.c.root_id.in_(bindparam("roots", expanding=True)),
    )
)

_CHUNK_COLUMNS = (
    chunks.c.document_id,
    chunks.c.position,
    chunks.c.chunk_id,
    chunks.c.entry,
    chunks.c.vector,
    chunks.c.embedder,
    chunks.c.digest,
)
_IN_CONTAINER = document_containers.join(
    chunks,
    (chunks.c.tenant == document_containers.c.tenant)
    & (chunks.c.document_id == document_containers.c.document_id),
)
_CHUNKS = (
    select(*_CHUNK_COLUMNS)
    .select_from(_IN_CONTAINER)
    .where(
        document_containers.c.tenant == bindparam("t"),
        document_containers.c.container == bindparam("in_container"),
    )
)
_CHUNKS_OF = _CHUNKS.where(
    document_containers.c.document_id.in_(bindparam("names", expanding=True))
)


def unchanged(
    conn: Connection, digester: Digester, tenant: int, known: Mapping[str, int]
) -> dict[str, int]:
    """Containers of which nothing has changed since a revision, and up to which one.

    Of one since whose revision not all changes are kept, that cannot be said.
    """
    found: dict[str, int] = {}
    for container, after in known.items():
        where = {
            "t": tenant,
            "in_container": container,
            "erased_as": digester.tag(tenant, container),
            "after": after,
            "following": after + 1,
        }
        revision, changed = conn.execute(_NEWS, where).one()
        if not changed:
            found[container] = max(after, int(revision))
    return found


def read_delta(
    conn: Connection,
    digester: Digester,
    tenant: int,
    container: str,
    after: int | None,
    embedder: int,
) -> IndexDelta:
    """What an index that is true up to revision `after` misses; None: it has nothing.

    Args:
        embedder: The space whose vectors are wanted; others are left out.
    """
    revision, oldest = conn.execute(_TENANT, {"t": tenant}).one()
    where = {"t": tenant, "in_container": container}
    changed: Sequence[Any] = ()
    if after is not None and after + 1 >= oldest:
        named = {**where, "erased_as": digester.tag(tenant, container)}
        changed = [
            row
            for statement in _CHANGES
            for row in conn.execute(statement, {**named, "after": after, "upto": revision})
        ]
    if after is None or after + 1 < oldest or len(changed) > MANY:
        return IndexDelta(
            revision,
            None,
            _memory_rows(conn.execute(_MEMORIES, where), embedder),
            _chunk_rows(conn.execute(_CHUNKS, where), embedder),
        )
    document_ids = {row.entity_id for row in changed if row.kind.startswith("document.")}
    memory_ids = {row.entity_id for row in changed if row.kind.startswith("memory.")}
    gone = {row.entity_id for row in changed if row.kind == "memory.deleted"}
    roots = gone | _roots(conn, tenant, memory_ids)
    rows = conn.execute(_CHAINS, {"t": tenant, "roots": padded(sorted(roots))}) if roots else None
    found = (
        conn.execute(_CHUNKS_OF, {**where, "names": padded(sorted(document_ids))})
        if document_ids
        else None
    )
    return IndexDelta(
        revision,
        frozenset(document_ids | roots),
        _memory_rows(rows, embedder),
        _chunk_rows(found, embedder),
    )


def _roots(conn: Connection, tenant: int, names: set[str]) -> set[str]:
    if not names:
        return set()
    rows = conn.execute(_ROOTS, {"t": tenant, "names": padded(sorted(names))})
    return {row.root_id for row in rows}


def _memory_rows(rows: Rows, embedder: int) -> list[IndexRow]:
    found: dict[str, IndexRow] = {}
    for name, root, version, entry, vector, space, digest, start, end, until in _blocks(rows):
        known = found.get(name)
        if known is None:
            kept = vector if space == embedder else None
            found[name] = IndexRow(name, root, version, entry, kept, digest, ((start, end),), until)
        else:
            known.spans = sorted((*known.spans, (start, end)))
            known.until = max(known.until, until)
    return list(found.values())


def _chunk_rows(rows: Rows, embedder: int) -> list[IndexRow]:
    return [
        IndexRow(name, document, position, entry, vector if space == embedder else None, digest)
        for document, position, name, entry, vector, space, digest in _blocks(rows)
    ]


def _blocks(rows: Rows) -> Iterator[Any]:
    """The rows, fetched many at once: a container may have a hundred thousand."""
    return chain.from_iterable(rows.partitions(BLOCK)) if rows is not None else iter(())


def matching_documents(
    conn: Connection, tenant: int, container: str, tree: f.Filter, among: Iterable[str] | None
) -> set[str]:
    """Ids of the container's documents for which a filter is true.

    Args:
        among: Only these; None: all of the container.
    """
    statement = (
        select(documents.c.id)
        .select_from(
            document_containers.join(
                documents,
                (documents.c.tenant == document_containers.c.tenant)
                & (documents.c.id == document_containers.c.document_id),
            )
        )
        .where(
            document_containers.c.tenant == tenant,
            document_containers.c.container == container,
            compile_filter(tree, documents, DOCUMENT_FIELDS),
        )
    )
    if among is not None:
        statement = statement.where(document_containers.c.document_id.in_(padded(among)))
    return set(conn.execute(statement).scalars())


def matching_memories(
    conn: Connection, tenant: int, container: str, tree: f.Filter, among: Iterable[str] | None
) -> set[str]:
    """Ids of the container's memory versions for which a filter is true."""
    statement = (
        select(memories.c.id)
        .select_from(SPANS_JOINED)
        .where(
            memory_spans.c.tenant == tenant,
            memory_spans.c.container == container,
            memory_spans.c.end_kind.in_([int(end) for end in End]),
            compile_filter(tree, memories, MEMORY_FIELDS),
        )
    )
    if among is not None:
        statement = statement.where(memory_spans.c.memory_id.in_(padded(among)))
    return set(conn.execute(statement).scalars())


def in_state(
    conn: Connection,
    tenant: int,
    container: str,
    as_of: int | None,
    wall: int,
    *,
    forgotten: bool,
    history: bool,
) -> set[str]:
    """Ids of the versions that a list with `include_forgotten` or `include_history` shows."""
    over = [End.FORGOTTEN, End.EXPIRED] if forgotten else []
    superseded = [End.SUPERSEDED] if history else []
    ended = memory_spans.c.end_kind.in_([int(end) for end in (*over, *superseded)])
    # An expiry that the sweep has not recorded yet has ended all the same.
    lapsed = memory_spans.c.end_kind == int(End.OPEN) if forgotten else ended
    there: ColumnElement[bool]
    shown: ColumnElement[bool]
    if as_of is None:
        there = memory_spans.c.state_until == FOREVER
        made = memory_spans.c.end_kind.in_(_MADE)
        shown = (memory_spans.c.shown_until > wall) & ~made
    else:
        there = (memory_spans.c.shown_from <= as_of) & (memory_spans.c.state_until > as_of)
        shown = memory_spans.c.shown_until > as_of
    statement = select(memory_spans.c.memory_id).where(
        memory_spans.c.tenant == tenant,
        memory_spans.c.container == container,
        memory_spans.c.end_kind.in_([int(end) for end in End]),
        there,
        shown | ended | lapsed,
    )
    return set(conn.execute(statement).scalars())
