"""Reading documents: rows to documents and to what the rules need."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Executable, bindparam, case, func, select

from service.core.documents import DocumentState
from service.core.errors import PalimpsestError, document_not_found
from service.core.model import (
    FILE_KINDS,
    Content,
    ContentKind,
    Document,
    Principal,
    Status,
    decoded,
)
from service.storage.documents.names import Name, find, is_in
from service.storage.tables import (
    chunks,
    document_contents,
    documents,
)
from service.storage.transactions import (
    pad_in_list,
)

_STATE = select(
    documents.c.id,
    documents.c.custom_id,
    documents.c.content_hash,
    documents.c.metadata,
    documents.c.containers,
    documents.c.title,
    documents.c.document_date,
    documents.c.status,
    documents.c.etag,
    documents.c.revision,
    documents.c.create_time,
    documents.c.update_time,
    documents.c.kind,
).where(documents.c.tenant == bindparam("t"))


_BY_ID = _STATE.where(documents.c.id.in_(bindparam("names", expanding=True)))


# Positions count from 0 without gaps: the last one is a single step in the index.
_CHUNKS = (
    select(func.coalesce(func.max(chunks.c.position) + 1, 0))
    .where(chunks.c.tenant == documents.c.tenant, chunks.c.document_id == documents.c.id)
    .correlate(documents)
    .scalar_subquery()
    .label("chunks")
)


READ_COLUMNS = (
    documents.c.id,
    documents.c.custom_id,
    documents.c.metadata,
    documents.c.containers,
    documents.c.status,
    documents.c.title,
    documents.c.document_date,
    documents.c.etag,
    documents.c.revision,
    documents.c.create_time,
    documents.c.update_time,
    documents.c.error,
    documents.c.attempts,
    documents.c.kind,
    _CHUNKS,
)


WITH_CONTENT = documents.join(
    document_contents,
    (document_contents.c.tenant == documents.c.tenant)
    & (document_contents.c.document_id == documents.c.id),
)


_READ = (
    select(*READ_COLUMNS, document_contents.c.content)
    .select_from(WITH_CONTENT)
    .where(documents.c.tenant == bindparam("t"))
)


_READ_BY_ID = _READ.where(documents.c.id.in_(bindparam("names", expanding=True)))


_READ_TEXTS = (
    select(
        *READ_COLUMNS,
        case(
            (documents.c.kind.in_([int(kind) for kind in FILE_KINDS]), None),
            else_=document_contents.c.content,
        ).label("content"),
    )
    .select_from(WITH_CONTENT)
    .where(
        documents.c.tenant == bindparam("t"),
        documents.c.id.in_(bindparam("names", expanding=True)),
    )
)


READ_BARE = select(*READ_COLUMNS).where(
    documents.c.tenant == bindparam("t"),
    documents.c.id.in_(bindparam("names", expanding=True)),
)


_CONTAINERS = select(documents.c.id, documents.c.containers).where(
    documents.c.tenant == bindparam("t"),
    documents.c.id.in_(bindparam("names", expanding=True)),
)


_CONTENTS = select(document_contents.c.document_id, document_contents.c.content).where(
    document_contents.c.tenant == bindparam("t"),
    document_contents.c.document_id.in_(bindparam("names", expanding=True)),
)


_STATUS = {int(status): status for status in Status}
_KIND = {int(kind): kind for kind in ContentKind}


@lru_cache(maxsize=4096)
def _tags(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def document_of(row: Any, content: Content | None, visible: frozenset[str] | None) -> Document:
    """A row that begins with READ_COLUMNS as a document, with visible containers."""
    (
        document_id,
        custom_id,
        metadata,
        containers,
        status,
        title,
        document_date,
        etag,
        revision,
        create_time,
        update_time,
        error,
        attempts,
        kind,
        chunk_count,
    ) = row[: len(READ_COLUMNS)]
    tags = _tags(containers)
    if visible is not None:
        tags = tuple(tag for tag in tags if tag in visible)
    return Document(
        document_id,
        custom_id,
        content,
        metadata,
        tags,
        _STATUS[status],
        title,
        document_date,
        etag,
        revision,
        create_time,
        update_time,
        error,
        attempts,
        _KIND[kind],
        chunk_count,
    )


def read(
    conn: Connection, wanted: Sequence[tuple[Principal, Name]]
) -> list[Document | PalimpsestError]:
    """Each document with its content, or NOT_FOUND or AMBIGUOUS_CUSTOM_ID."""
    results: list[Document | PalimpsestError] = [document_not_found() for _ in wanted]
    for tenant in {principal.tenant for principal, _ in wanted}:
        places = [
            place for place, (principal, _) in enumerate(wanted) if principal.tenant == tenant
        ]
        found = find(conn, tenant, (wanted[place][1] for place in places))
        names = {name for name in found.values() if isinstance(name, str)}
        rows: dict[str, Any] = {}
        if names:
            listed = conn.execute(_READ_BY_ID, {"t": tenant, "names": pad_in_list(names)})
            rows = {row.id: row for row in listed}
        for place in places:
            principal, name = wanted[place]
            meant = found.get(name)
            if isinstance(meant, PalimpsestError):
                results[place] = meant
            elif meant in rows:
                row = rows[meant]
                document = document_of(
                    row, decoded(_KIND[row.kind], row.content), principal.containers
                )
                if document.containers and is_in(name, _tags(row.containers)):
                    results[place] = document
    return results


def read_found(
    conn: Connection, principal: Principal, names: Iterable[str], *, content: bool
) -> dict[str, Document]:
    """Those of these ids that are there, with their content or without.

    The content of a file is left out: many together would be too much to read.
    """
    statement: Executable = _READ_TEXTS if content else READ_BARE
    found: dict[str, Document] = {}
    for row in conn.execute(statement, {"t": principal.tenant, "names": pad_in_list(names)}):
        text = decoded(_KIND[row.kind], row.content) if content and row.content else None
        document = document_of(row, text, principal.containers)
        if document.containers:
            found[document.id] = document
    return found


class Membership(Protocol):
    """What deleting a document needs to know of it."""

    @property
    def id(self) -> str: ...

    @property
    def containers(self) -> tuple[str, ...]: ...


class Member(NamedTuple):
    """A document's id and containers, without what else the rules may need."""

    id: str
    containers: tuple[str, ...]


def members(rows: Iterable[Any]) -> list[Member]:
    """Rows of id and containers."""
    return [Member(row[0], _tags(row[1])) for row in rows]


def load(conn: Connection, tenant: int, names: Collection[str]) -> dict[str, DocumentState]:
    """States by id."""
    if not names:
        return {}
    rows = conn.execute(_BY_ID, {"t": tenant, "names": pad_in_list(names)})
    return {row.id: _state_of(row) for row in rows}


def load_named(
    conn: Connection, tenant: int, names: Collection[Name]
) -> dict[Name, DocumentState | PalimpsestError]:
    """States by the name they were asked for, or AMBIGUOUS_CUSTOM_ID."""
    found = find(conn, tenant, names)
    states = load(conn, tenant, {name for name in found.values() if isinstance(name, str)})
    loaded: dict[Name, DocumentState | PalimpsestError] = {}
    for name, meant in found.items():
        if isinstance(meant, PalimpsestError):
            loaded[name] = meant
        elif meant in states and is_in(name, states[meant].containers):
            loaded[name] = states[meant]
    return loaded


def containers_of(
    conn: Connection, tenant: int, names: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """The containers of documents by id."""
    rows = conn.execute(_CONTAINERS, {"t": tenant, "names": pad_in_list(names)}).all()
    return {member.id: member.containers for member in members(rows)}


def contents(conn: Connection, tenant: int, names: Iterable[str]) -> dict[str, bytes]:
    """The contents of documents by id, as they are stored."""
    rows = conn.execute(_CONTENTS, {"t": tenant, "names": pad_in_list(names)})
    return {row.document_id: bytes(row.content) for row in rows}


def _state_of(row: Any) -> DocumentState:
    return DocumentState(
        row.id,
        row.custom_id,
        bytes(row.content_hash),
        row.metadata,
        _tags(row.containers),
        row.title,
        row.document_date,
        _STATUS[row.status],
        row.etag,
        row.revision,
        row.create_time,
        row.update_time,
        _KIND[row.kind],
    )
