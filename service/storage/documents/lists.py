"""Listing documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, exists, func, select

from service.core import filters as f
from service.core.model import (
    FILE_KINDS,
    Document,
    DocumentQuery,
    PageNumber,
    PageRequest,
    Position,
    Principal,
    encoded,
)
from service.ports.store import NumberedPage, Page
from service.storage.documents.rows import READ_BARE, READ_COLUMNS, document_of
from service.storage.filters import compile_filter
from service.storage.functions import FoundFirst
from service.storage.lists import (
    Numbered,
    after,
    cut,
    merged,
    numbered,
    one_page,
    place,
    shape_of,
    tenant_revision,
    tenant_state,
    visible_containers,
    whole,
)
from service.storage.tables import document_containers, document_contents, documents
from service.storage.transactions import pad_in_list

FIELDS: dict[f.Field, Any] = {
    f.Field.CREATED: documents.c.create_time,
    f.Field.UPDATED: documents.c.update_time,
    f.Field.DOCUMENT_DATE: documents.c.document_date,
    f.Field.STATUS: documents.c.status,
}
_CONTENTS = select(document_contents.c.document_id, document_contents.c.content).where(
    document_contents.c.tenant == bindparam("t"),
    document_contents.c.document_id.in_(bindparam("names", expanding=True)),
)
_CONTENTS_AT_ONCE = 4
_ROW_BYTES = 400
"""What a document weighs in addition to its texts, roughly."""


def list_documents(
    conn: Connection, principal: Principal, query: DocumentQuery, page: PageRequest
) -> Page[Document]:
    state = tenant_state(conn, principal.tenant)
    key = "revision" if query.order.by_update else "id"
    light = query.filter is None or f.weight(query.filter) <= _CACHED_WEIGHT
    build = _cached_statement if light else _statement
    statement = build(
        conn.dialect.name, principal.tenant, query, _tags(conn, principal, query), shape_of(page)
    )
    rows = conn.execute(statement, after(page)).all()

    def position(row: Any) -> Position:
        return (getattr(row, key),)

    make = _maker(conn, principal, query, rows[: page.size])
    return cut(rows, make, position, _weight, page, state)


def numbered_documents(
    conn: Connection, principal: Principal, query: DocumentQuery, page: PageNumber
) -> NumberedPage[Document]:
    revision = tenant_revision(conn, principal.tenant)
    light = query.filter is None or f.weight(query.filter) <= _CACHED_WEIGHT
    build = _cached_numbered if light else _numbered
    statements = build(conn.dialect.name, principal.tenant, query, _tags(conn, principal, query))
    total = sum(conn.execute(statements.counting).scalars())
    if page.offset >= total:
        return NumberedPage((), total, revision)
    names = [row[0] for row in conn.execute(statements.rows, place(page))]
    found = {
        row.id: row
        for row in conn.execute(READ_BARE, {"t": principal.tenant, "names": pad_in_list(names)})
    }
    rows = [found[name] for name in names]
    make = _maker(conn, principal, query, rows)
    return NumberedPage(whole(rows, make, _weight, page), total, revision)


def _tags(conn: Connection, principal: Principal, query: DocumentQuery) -> tuple[str, ...]:
    """Where to look; nothing for the whole tenant."""
    if query.containers:
        return query.containers
    visible = visible_containers(conn, principal)
    # All there are is one branch, instead of one for each.
    return () if principal.containers is None else visible


def _maker(
    conn: Connection, principal: Principal, query: DocumentQuery, rows: Sequence[Any]
) -> Callable[[Any], Document]:
    """Makes documents of these rows, one after the other."""
    contents: Iterator[str] = iter(())
    if query.include_content:
        # Not of files: a page of them would be as many answers.
        texts = [row.id for row in rows if row.kind not in FILE_KINDS]
        contents = _contents(conn, principal.tenant, texts)

    def make(row: Any) -> Document:
        has_text = query.include_content and row.kind not in FILE_KINDS
        content = next(contents) if has_text else None
        return document_of(row, content, principal.containers)

    return make


def _statement(
    dialect: str, tenant: int, query: DocumentQuery, tags: tuple[str, ...], shape: PageRequest
) -> Select[Any]:
    key = "revision" if query.order.by_update else "id"
    branches = [
        one_page(branch, [sort], query.order, shape, revision=sort)
        for branch, sort in _branches(dialect, tenant, query, tags, key)
    ]
    return merged(branches, [key], query.order, shape)


def _numbered(dialect: str, tenant: int, query: DocumentQuery, tags: tuple[str, ...]) -> Numbered:
    key = "revision" if query.order.by_update else "id"
    branches = [
        (branch, [sort])
        for branch, sort in _branches(dialect, tenant, query, tags, key, whole_rows=False)
    ]
    return numbered(branches, query.order)


# Building a statement costs as much as running it, and callers repeat theirs.
_cached_statement = lru_cache(maxsize=256)(_statement)
_cached_numbered = lru_cache(maxsize=64)(_numbered)
_CACHED_WEIGHT = 4096


def _weight(document: Document) -> int:
    content = document.content or ""
    size = len(content) if content.isascii() else len(encoded(content))
    return size + len(document.metadata) + len(document.title) + _ROW_BYTES


def _branches(
    dialect: str,
    tenant: int,
    query: DocumentQuery,
    tags: tuple[str, ...],
    key: str,
    *,
    whole_rows: bool = True,
) -> Iterator[tuple[Select[Any], ColumnElement[Any]]]:
    """Selections that have no document in common, each with the column it is sorted by.

    Not `whole_rows`: the id and that column, from as few tables as will do.
    """
    conditions = list(_conditions(query, dialect))
    if not tags:
        sort = documents.c[key]
        branch = select(*READ_COLUMNS if whole_rows else _keys(documents.c.id, sort))
        if not whole_rows:
            # True of every row: without a sort or a range, the planner counts by reading the table.
            branch = branch.where(sort > ("" if key == "id" else 0))
        yield branch.where(documents.c.tenant == tenant, *conditions), sort
        return
    joins = document_containers
    joined = joins.join(
        documents,
        (documents.c.tenant == joins.c.tenant)
        & (documents.c.id == FoundFirst(joins.c.document_id)),
    )
    sort = joins.c.revision if key == "revision" else joins.c.document_id
    base = select(*READ_COLUMNS).select_from(joined)
    if not whole_rows:
        keys = select(*_keys(joins.c.document_id, sort))
        base = keys.select_from(joined if conditions else joins)
    base = base.where(joins.c.tenant == tenant, *conditions)
    # Without containers named, a limited key's are those to look in, not to match.
    match_all = query.match_all and bool(query.containers)
    for index, tag in enumerate(tags[:1] if match_all else tags):
        branch = base.where(joins.c.container == tag)
        if match_all:
            branch = branch.where(*(_is_in(tenant, [other]) for other in tags[1:]))
        elif index:
            # Already listed by the branch of an earlier container.
            branch = branch.where(~_is_in(tenant, tags[:index]))
        yield branch, sort


def _keys(name: ColumnElement[Any], sort: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    return [name] if sort is name else [name, sort]


def _is_in(tenant: int, tags: Any) -> ColumnElement[bool]:
    other = document_containers.alias()
    return exists().where(
        other.c.tenant == tenant,
        other.c.container.in_(tags),
        other.c.document_id == document_containers.c.document_id,
    )


def _conditions(query: DocumentQuery, dialect: str) -> Iterator[ColumnElement[bool]]:
    if query.statuses:
        yield documents.c.status.in_([int(status) for status in query.statuses])
    if query.custom_id_prefix:
        prefix = query.custom_id_prefix
        yield func.substr(documents.c.custom_id, 1, len(prefix)) == prefix
    if query.filter is not None:
        yield compile_filter(query.filter, documents, FIELDS, dialect)


def _contents(conn: Connection, tenant: int, names: list[str]) -> Iterator[str]:
    """Contents in order, read a few at a time: the page may end before the rest."""
    for start in range(0, len(names), _CONTENTS_AT_ONCE):
        part = names[start : start + _CONTENTS_AT_ONCE]
        rows = conn.execute(_CONTENTS, {"t": tenant, "names": pad_in_list(part)})
        found = {row.document_id: str(row.content, "utf-8") for row in rows}
        for name in part:
            yield found[name]
