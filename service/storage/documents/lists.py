"""Listing documents."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, exists, func, select

from service.core import filters as f
from service.core.model import (
    FILE_KINDS,
    Document,
    DocumentQuery,
    PageRequest,
    Position,
    Principal,
    encoded,
)
from service.ports.store import Page
from service.storage.documents.rows import READ_COLUMNS, document_of
from service.storage.filters import compile_filter
from service.storage.lists import after, cut, merged, one_page, shape_of, tenant_state
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
    conn: Connection, who: Principal, query: DocumentQuery, page: PageRequest
) -> Page[Document]:
    state = tenant_state(conn, who.tenant)
    tags = query.containers or tuple(sorted(who.containers or ()))
    key = "revision" if query.order.by_update else "id"
    light = query.filter is None or f.weight(query.filter) <= _CACHED_WEIGHT
    build = _cached_statement if light else _statement
    statement = build(conn.dialect.name, who.tenant, query, tags, shape_of(page))
    rows = conn.execute(statement, after(page)).all()

    contents: Iterator[str] = iter(())
    if query.include_content:
        # Not of files: a page of them would be as many answers.
        texts = [row.id for row in rows[: page.size] if row.kind not in FILE_KINDS]
        contents = _contents(conn, who.tenant, texts)

    def make(row: Any) -> Document:
        has_text = query.include_content and row.kind not in FILE_KINDS
        content = next(contents) if has_text else None
        return document_of(row, content, who.containers)

    def position(row: Any) -> Position:
        return (getattr(row, key),)

    return cut(rows, make, position, _weight, page, state)


def _statement(
    dialect: str, tenant: int, query: DocumentQuery, tags: tuple[str, ...], shape: PageRequest
) -> Select[Any]:
    key = "revision" if query.order.by_update else "id"
    branches = [
        one_page(branch, [sort], query.order, shape, revision=sort)
        for branch, sort in _branches(dialect, tenant, query, tags, key)
    ]
    return merged(branches, [key], query.order, shape)


# Building a statement costs as much as running it, and callers repeat theirs.
_cached_statement = lru_cache(maxsize=256)(_statement)
_CACHED_WEIGHT = 4096


def _weight(document: Document) -> int:
    content = document.content or ""
    size = len(content) if content.isascii() else len(encoded(content))
    return size + len(document.metadata) + len(document.title) + _ROW_BYTES


def _branches(
    dialect: str, tenant: int, query: DocumentQuery, tags: tuple[str, ...], key: str
) -> Iterator[tuple[Select[Any], ColumnElement[Any]]]:
    conditions = list(_conditions(query, dialect))
    if not tags:
        branch = select(*READ_COLUMNS).where(documents.c.tenant == tenant, *conditions)
        yield branch, documents.c[key]
        return
    joins = document_containers
    joined = joins.join(
        documents,
        (documents.c.tenant == joins.c.tenant) & (documents.c.id == joins.c.document_id),
    )
    sort = joins.c.revision if key == "revision" else joins.c.document_id
    # Without containers named, a limited key's are those to look in, not to match.
    match_all = query.match_all and bool(query.containers)
    for index, tag in enumerate(tags[:1] if match_all else tags):
        branch = (
            select(*READ_COLUMNS)
            .select_from(joined)
            .where(joins.c.tenant == tenant, joins.c.container == tag, *conditions)
        )
        if match_all:
            branch = branch.where(*(_is_in(tenant, [other]) for other in tags[1:]))
        elif index:
            # Already listed by the branch of an earlier container.
            branch = branch.where(~_is_in(tenant, tags[:index]))
        yield branch, sort


def _is_in(tenant: int, tags: Any) -> ColumnElement[bool]:
    other = document_containers.alias()
    return exists().where(
        other.c.tenant == tenant,
        other.c.container.in_(tags),
        other.c.document_id == documents.c.id,
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
