"""Every stored digest is compared with what it covers: a flipped byte is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service.core import receipts
from service.core.digests import Digester, TenantDigester
from service.core.documents import DocumentFields
from service.core.metadata import comparable
from service.core.model import ContentKind
from service.core.times import parse_instant
from service.storage import checksums, dialects
from service.storage.checks import CHECK_COMMENT
from service.storage.steps import Steps
from service.storage.transactions import json_list

SHOWN: Final = 20
"""Findings of one kind that are named; the rest is counted."""

Row: TypeAlias = Any
Judge: TypeAlias = Callable[[Digester, Row], Iterable[str]]
"""What of a row does not match its digest."""


def _of_document(digester: Digester, row: Row) -> Iterator[str]:
    content, digest, _, metadata, compared = row[2:7]
    if content is not None and digester.content_of_bytes(content) != digest:
        yield "content"
    if not _has_etag(digester.for_tenant(row[0]), *row[3:]):
        yield "metadata, title, date or containers"
    elif comparable(metadata) != compared:
        yield "comparable form of its metadata"


def _has_etag(
    digester: TenantDigester,
    digest: bytes,
    etag: str,
    metadata: str,
    _: str,
    tags: str,
    title: str,
    date: int | None,
    kind: int,
) -> bool:
    try:
        fields = DocumentFields(
            content_hash=digest,
            metadata=metadata,
            containers=tuple(json.loads(tags)),
            title=title,
            document_date=date,
            kind=ContentKind(kind),
        )
        return fields.etag(digester) == etag
    except ValueError:
        return False


def _of_span(digester: Digester, row: Row) -> Iterator[str]:
    content, digest, checksum, *values = row[3:]
    if content is not None and digester.content_of_bytes(content) != digest:
        yield "content"
    if not _matches(digester, "memory_spans", values, checksum):
        yield "reasons"


def _of_memory(digester: Digester, row: Row) -> Iterator[str]:
    checksum, *values = row[2:]
    if not _matches(digester, "memories", values, checksum):
        yield "metadata, dates or place in its chain"


def _of_chunk(digester: Digester, row: Row) -> Iterator[str]:
    text, digest, checksum, *values = row[3:]
    if digester.content_of_bytes(text) != digest:
        yield "text"
    if not _matches(digester, "chunks", values, checksum):
        yield "id, heading, speaker or place in its document"


def _of_key(digester: Digester, row: Row) -> Iterator[str]:
    checksum, *values = row[2:]
    if not _matches(digester, "api_keys", values, checksum):
        yield "hash, label or limits"


def _of_request(_: Digester, row: Row) -> Iterable[str]:
    receipts.decode(row[2], "")
    return ()


def _matches(digester: Digester, table: str, values: Iterable[Any], checksum: bytes) -> bool:
    try:
        return checksums.of_values(digester, table, values) == checksum
    except UnicodeError:
        return False


def _as_written(kind: str, row: Row) -> Row:
    """A row of PostgreSQL with what was digested in place of what it makes of that."""
    values: list[Any] = [int(value) if isinstance(value, bool) else value for value in row]
    if kind == "document":
        values[6] = _spelled(values[6], comparable(values[5]))
    elif kind == "memory":
        place = {name: at for at, name in enumerate(checksums.COVERED["memories"], 3)}
        metadata, events = values[place["metadata"]], values[place["event_dates"]]
        for name, written in (
            ("comparable", comparable(metadata)),
            ("event_instants", json_list(map(parse_instant, json.loads(events)))),
        ):
            values[place[name]] = _spelled(values[place[name]], written)
    return values


def _spelled(stored: str, written: str) -> str:
    """JSON as it was written, if that is what is stored: PostgreSQL spells it in its own way."""
    same = json.loads(stored, parse_int=float) == json.loads(written, parse_int=float)
    return written if same else stored


def _columns(table: str, prefix: str = "") -> str:
    return ", ".join(prefix + column for column in checksums.COVERED[table])


# The columns that name the row come first, then what its judge takes.
_CHECKS: Final[dict[str, tuple[str, int, str, Judge]]] = {
    "document": (
        "documents",
        2,
        """SELECT d.tenant, d.id, c.content, d.content_hash, d.etag, d.metadata, d.comparable,
             d.containers, d.title, d.document_date, d.kind
           FROM documents d LEFT JOIN document_contents c
           ON c.tenant = d.tenant AND c.document_id = d.id""",
        _of_document,
    ),
    "memory": (
        "memories",
        2,
        f"SELECT tenant, id, checksum, {_columns('memories')} FROM memories",  # noqa: S608
        _of_memory,
    ),
    "memory and its forgetting": (
        "memory_spans",
        3,
        f"""SELECT s.tenant, s.memory_id, s.shown_from, m.content, s.content_hash, s.checksum,
              {_columns("memory_spans", "s.")}
            FROM memory_spans s LEFT JOIN memories m
            ON m.tenant = s.tenant AND m.id = s.memory_id""",  # noqa: S608
        _of_span,
    ),
    "chunk": (
        "chunks",
        3,
        f"""SELECT tenant, document_id, position, text, digest, checksum, {_columns("chunks")}
            FROM chunks""",  # noqa: S608
        _of_chunk,
    ),
    "key": (
        "api_keys",
        2,
        f"SELECT tenant, key_id, checksum, {_columns('api_keys')} FROM api_keys",  # noqa: S608
        _of_key,
    ),
    "remembered request": (
        "requests",
        2,
        "SELECT tenant, request_id, receipt FROM requests",
        _of_request,
    ),
}


def run(conn: Connection, steps: Steps, digester: Digester) -> None:
    """Compare every digest in the open transaction."""
    for kind, (table, named, sql, judge) in _CHECKS.items():

        def work(
            kind: str = kind, sql: str = sql, named: int = named, judge: Judge = judge
        ) -> Iterator[str]:
            wrong = 0
            for row in conn.exec_driver_sql(f"{CHECK_COMMENT} {sql}"):
                steps.saw()
                for what in _judged(conn, kind, judge, digester, row):
                    wrong += 1
                    if wrong <= SHOWN:
                        yield f"damaged {kind}: {row[:named]}: {what}"
            if wrong > SHOWN:
                yield f"damaged {kind}: and {wrong - SHOWN} more"

        steps.run(f"digests of {table}", work, total=_count(conn, table))


def _judged(conn: Connection, kind: str, judge: Judge, digester: Digester, row: Row) -> list[str]:
    try:
        if dialects.is_remote(conn):
            row = _as_written(kind, row)
        return [f"its {what} does not match its digest" for what in judge(digester, row)]
    except (ValueError, TypeError, KeyError, AttributeError):
        return ["it cannot be read"]


def _count(conn: Connection, table: str) -> int:
    """How many rows to expect: what is counted in damaged pages is only for the display."""
    try:
        return int(
            conn.exec_driver_sql(f"{CHECK_COMMENT} SELECT count(*) FROM {table}").scalar_one()  # noqa: S608
        )
    except DBAPIError:
        return 0
