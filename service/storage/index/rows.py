"""What searches read: a container's index rows, and what has changed of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import attrgetter

from sqlalchemy import ColumnElement, Connection, bindparam, exists, or_, select, tuple_

from service.core import filters as f
from service.core.digests import Digester
from service.core.memories import MADE, End
from service.core.model import ChangeKind
from service.core.times import FOREVER
from service.ports.indexing import DeltaCursor, IndexDelta
from service.storage.change_kinds import OF_DOCUMENTS, OF_MEMORIES
from service.storage.documents.lists import FIELDS as DOCUMENT_FIELDS
from service.storage.engine import StoreOptions
from service.storage.filters import compile_filter
from service.storage.index.blocks import (
    ALL_ROWS,
    CHUNK_COLUMNS,
    IN_CONTAINER,
    MEMORY_COLUMNS,
    Block,
    rows_of_block,
)
from service.storage.memories.rows import FIELDS as MEMORY_FIELDS
from service.storage.memories.rows import SPANS_JOINED, VERSIONS_JOINED
from service.storage.tables import (
    changes,
    chunks,
    document_containers,
    documents,
    memories,
    memory_spans,
    tenants,
)
from service.storage.transactions import pad_in_list


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
    select(changes.c.revision, changes.c.kind, changes.c.entity_id)
    .where(*_since(name), changes.c.revision <= bindparam("upto"))
    .order_by(changes.c.revision)
    .limit(bindparam("limit"))
    for name in _NAMES
]
_TENANT = select(tenants.c.revision, tenants.c.oldest_revision).where(
    tenants.c.tenant == bindparam("t")
)
_ROOTS = select(memories.c.id, memories.c.root_id).where(
    memories.c.tenant == bindparam("t"), memories.c.id.in_(bindparam("names", expanding=True))
)
_CHAINS = (
    select(*MEMORY_COLUMNS)
    .select_from(VERSIONS_JOINED)
    .where(
        memories.c.tenant == bindparam("t"),
        memories.c.root_id.in_(bindparam("roots", expanding=True)),
        tuple_(memories.c.root_id, memories.c.version)
        > tuple_(bindparam("after_name"), bindparam("after_place")),
    )
    .order_by(memories.c.root_id, memories.c.version)
    .limit(bindparam("most"))
)
_CHUNKS_OF = (
    select(*CHUNK_COLUMNS)
    .select_from(IN_CONTAINER)
    .where(
        document_containers.c.tenant == bindparam("t"),
        document_containers.c.container == bindparam("in_container"),
        document_containers.c.document_id.in_(bindparam("names", expanding=True)),
        tuple_(chunks.c.document_id, chunks.c.position)
        > tuple_(bindparam("after_name"), bindparam("after_place")),
    )
    .order_by(document_containers.c.document_id, chunks.c.position)
    .limit(bindparam("most"))
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
    after: int,
    embedder: int,
    options: StoreOptions,
    *,
    stepwise: bool = False,
) -> IndexDelta:
    """What an index that is true up to revision `after` misses.

    Args:
        embedder: The space whose vectors are wanted; others are left out.
        options: How many changes and rows are read.
        stepwise: Of more than `index_changes` answer the first ones, instead of none. None
            are answered either way once some after `after` are no longer kept.
    """
    revision, oldest = conn.execute(_TENANT, {"t": tenant}).one()
    if after + 1 < oldest:
        return IndexDelta(revision, None)
    where = {
        "t": tenant,
        "in_container": container,
        "erased_as": digester.tag(tenant, container),
        "after": after,
        "upto": revision,
        "limit": options.index_changes + 1,
    }
    changed = [row for statement in _CHANGES for row in conn.execute(statement, where)]
    complete = len(changed) <= options.index_changes
    if not complete:
        if not stepwise:
            return IndexDelta(revision, None)
        changed = sorted(changed, key=attrgetter("revision"))[: options.index_changes]
        revision = changed[-1].revision
    document_ids = {row.entity_id for row in changed if row.kind in OF_DOCUMENTS}
    memory_ids = {row.entity_id for row in changed if row.kind in OF_MEMORIES}
    gone = {row.entity_id for row in changed if row.kind == ChangeKind.MEMORY_DELETED}
    roots = gone | _roots(conn, tenant, memory_ids)
    cursor = DeltaCursor(tuple(sorted(roots)), tuple(sorted(document_ids)))
    delta = read_more(conn, tenant, container, cursor, embedder, options.index_block_bytes)
    entities = frozenset(document_ids | roots)
    return replace(delta, revision=revision, entities=entities, complete=complete)


def read_more(
    conn: Connection,
    tenant: int,
    container: str,
    cursor: DeltaCursor,
    embedder: int,
    size: int,
    most: int | None = None,
) -> IndexDelta:
    """Rows of a delta, up to the size of a block; `most` as in `read_block`."""
    if most is None:
        most = rows_of_block(size)
    block = Block(embedder, size)
    name, place = cursor.after
    where = {
        "t": tenant,
        "in_container": container,
        "after_name": name,
        "after_place": place,
        "most": most,
    }
    if cursor.roots:
        rows = conn.execute(_CHAINS, {**where, "roots": pad_in_list(cursor.roots)})
        if block.take_memories(rows, most):
            if not block.memories:
                return read_more(conn, tenant, container, cursor, embedder, size, ALL_ROWS)
            last = block.memories[-1]
            rest = replace(cursor, after=(last.entity, last.position))
            return IndexDelta(0, frozenset(), block.memories, (), rest)
        where.update(after_name="", after_place=-1)
    if cursor.documents:
        rows = conn.execute(_CHUNKS_OF, {**where, "names": pad_in_list(cursor.documents)})
        if block.take_chunks(rows, most, whole=False):
            after = (name, place) if not cursor.roots else ("", -1)
            if block.chunks:
                after = (block.chunks[-1].entity, block.chunks[-1].position)
            rest = DeltaCursor((), cursor.documents, after)
            return IndexDelta(0, frozenset(), block.memories, block.chunks, rest)
    return IndexDelta(0, frozenset(), block.memories, block.chunks)


def _roots(conn: Connection, tenant: int, names: set[str]) -> set[str]:
    if not names:
        return set()
    rows = conn.execute(_ROOTS, {"t": tenant, "names": pad_in_list(sorted(names))})
    return {row.root_id for row in rows}


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
            compile_filter(tree, documents, DOCUMENT_FIELDS, conn.dialect.name),
        )
    )
    if among is not None:
        statement = statement.where(document_containers.c.document_id.in_(pad_in_list(among)))
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
            compile_filter(tree, memories, MEMORY_FIELDS, conn.dialect.name),
        )
    )
    if among is not None:
        statement = statement.where(memory_spans.c.memory_id.in_(pad_in_list(among)))
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
    among: Iterable[str] | None = None,
) -> set[str]:
    """Ids of the versions that a list with `include_forgotten` or `include_history` shows.

    Args:
        among: Only these; None: all of the container.
    """
    over = [End.FORGOTTEN, End.EXPIRED] if forgotten else []
    superseded = [End.SUPERSEDED] if history else []
    ended = memory_spans.c.end_kind.in_([int(end) for end in (*over, *superseded)])
    # An expiry that the sweep has not recorded yet has ended nevertheless.
    lapsed = memory_spans.c.end_kind == int(End.OPEN) if forgotten else ended
    there: ColumnElement[bool]
    shown: ColumnElement[bool]
    if as_of is None:
        there = memory_spans.c.state_until == FOREVER
        made = memory_spans.c.end_kind.in_([int(end) for end in MADE])
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
    if among is not None:
        statement = statement.where(memory_spans.c.memory_id.in_(pad_in_list(among)))
    return set(conn.execute(statement).scalars())
