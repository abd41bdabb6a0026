"""Chunks: reading them, and swapping a document's new ones in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, CursorResult, bindparam, delete, select, text, update

from service.core.documents import is_visible
from service.core.errors import PalimpsestError, document_not_found
from service.core.model import ChangeKind, Order, PageRequest, Principal, Status
from service.ports.indexing import IndexEntry
from service.ports.processing import ChunkRow, Failed, Job, Processed
from service.ports.store import Page
from service.storage import checksums, dialects
from service.storage.documents.names import Name
from service.storage.documents.rows import containers_of, load_named
from service.storage.inserts import insert_rows
from service.storage.lists import after, cut, one_page, tenant_state
from service.storage.tables import chunks, documents, jobs
from service.storage.transactions import Mutation, Outcome, TenantTx, pad_in_list

_COLUMNS = (
    chunks.c.document_id,
    chunks.c.position,
    chunks.c.chunk_id,
    chunks.c.text,
    chunks.c.starts,
    chunks.c.ends,
    chunks.c.heading,
    chunks.c.speaker,
    chunks.c.instant,
    chunks.c.utc_offset,
    chunks.c.digest,
)
_OF_DOCUMENTS = (
    select(*_COLUMNS, chunks.c.entry, chunks.c.vector, chunks.c.embedder)
    .where(
        chunks.c.tenant == bindparam("t"),
        chunks.c.document_id.in_(bindparam("names", expanding=True)),
    )
    .order_by(chunks.c.document_id, chunks.c.position)
)
_LISTED = ", ".join(f"chunks.{column.name}" for column in _COLUMNS)
_AROUND = text(
    # From the places to the chunks: the other way round all the tenant's chunks are read.
    f"SELECT wanted.key AS number, {_LISTED}"  # noqa: S608  (no values)
    " FROM json_each(:places) AS wanted CROSS JOIN chunks"
    " WHERE chunks.tenant = :t AND chunks.document_id = json_extract(wanted.value, '$[0]')"
    " AND chunks.position BETWEEN json_extract(wanted.value, '$[1]')"
    " AND json_extract(wanted.value, '$[2]')"
)
_AROUND_REMOTE = text(
    f"SELECT wanted.number - 1 AS number, {_LISTED}"  # noqa: S608  (no values)
    " FROM unnest(CAST(:names AS text[]), CAST(:lows AS integer[]), CAST(:highs AS integer[]))"
    " WITH ORDINALITY AS wanted (document_id, low, high, number)"
    " JOIN chunks ON chunks.tenant = :t AND chunks.document_id = wanted.document_id"
    " AND chunks.position BETWEEN wanted.low AND wanted.high"
)
_HOLDERS = select(jobs.c.document_id, jobs.c.revision, jobs.c.holder).where(
    jobs.c.tenant == bindparam("t"),
    jobs.c.document_id.in_(bindparam("names", expanding=True)),
)
_PLACES = select(chunks.c.document_id, chunks.c.position).where(
    chunks.c.tenant == bindparam("t"),
    chunks.c.document_id.in_(bindparam("names", expanding=True)),
)
_DELETE = delete(chunks).where(
    chunks.c.tenant == bindparam("t"),
    chunks.c.document_id == bindparam("document"),
    chunks.c.position == bindparam("at"),
)
_SETTLE = (
    update(documents)
    .where(
        documents.c.tenant == bindparam("t"),
        documents.c.id.in_(bindparam("names", expanding=True)),
    )
    .values(
        status=bindparam("to_status"), error=bindparam("to_error"), attempts=bindparam("to_tries")
    )
)
_DONE_WITH = delete(jobs).where(
    jobs.c.tenant == bindparam("t"),
    jobs.c.document_id.in_(bindparam("names", expanding=True)),
)
_AGAIN = (
    update(jobs)
    .where(jobs.c.tenant == bindparam("t"), jobs.c.document_id == bindparam("document"))
    .values(due_time=bindparam("to_due"), holder=None)
)
_ROW_BYTES = 200


def chunk_of(row: Any, index: IndexEntry | None = None) -> ChunkRow:
    """A row that begins with the columns of a chunk."""
    return ChunkRow(
        row.chunk_id,
        row.position,
        str(row.text, "utf-8"),
        row.starts,
        row.ends,
        str(row.heading, "utf-8"),
        str(row.speaker, "utf-8"),
        row.instant,
        bytes(row.digest),
        index or IndexEntry(b""),
        row.utc_offset,
    )


def load_chunks(conn: Connection, tenant: int, names: Iterable[str]) -> dict[str, list[ChunkRow]]:
    """Chunks by document id, in order."""
    found: dict[str, list[ChunkRow]] = {}
    for row in conn.execute(_OF_DOCUMENTS, {"t": tenant, "names": pad_in_list(names)}):
        index = IndexEntry(row.entry, row.vector, row.embedder)
        found.setdefault(row.document_id, []).append(chunk_of(row, index))
    return found


def load_chunks_around(
    conn: Connection, tenant: int, places: Sequence[tuple[str, int]], neighbors: int
) -> list[list[ChunkRow]]:
    """For each place, as (document, position), the chunks up to `neighbors` positions before and
    after it, and its own, in order; those that there are.

    One statement, however many places.
    """
    ranges = [(name, position - neighbors, position + neighbors) for name, position in places]
    found: list[list[ChunkRow]] = [[] for _ in ranges]
    for row in _rows_around(conn, tenant, ranges):
        found[row.number].append(chunk_of(row))
    if neighbors:
        for rows in found:
            rows.sort(key=attrgetter("position"))
    return found


def _rows_around(
    conn: Connection, tenant: int, ranges: Sequence[tuple[str, int, int]]
) -> CursorResult[Any]:
    if not dialects.is_remote(conn):
        return conn.execute(_AROUND, {"t": tenant, "places": json.dumps(ranges)})
    names, lows, highs = (list(values) for values in zip(*ranges, strict=True))
    return conn.execute(_AROUND_REMOTE, {"t": tenant, "names": names, "lows": lows, "highs": highs})


def list_chunks(
    conn: Connection, principal: Principal, name: Name, page: PageRequest
) -> tuple[str, Page[ChunkRow]]:
    state = tenant_state(conn, principal.tenant)
    document = load_named(conn, principal.tenant, [name]).get(name)
    if isinstance(document, PalimpsestError):
        raise document
    if document is None or not is_visible(principal, document.containers):
        raise document_not_found()
    branch = select(*_COLUMNS).where(
        chunks.c.tenant == principal.tenant, chunks.c.document_id == document.id
    )
    statement = one_page(branch, [chunks.c.position], Order.CREATED_ASC, page)
    rows = conn.execute(statement, after(page)).all()
    listed = cut(rows, chunk_of, lambda row: (row.position,), _weight, page, state)
    return document.id, listed


def _weight(chunk: ChunkRow) -> int:
    texts = (chunk.text, chunk.heading, chunk.speaker)
    return sum(3 * len(text) for text in texts) + _ROW_BYTES


def _held(tx: TenantTx, held: Sequence[Job]) -> list[bool]:
    """Of each job: no newer write and no other worker has taken it."""
    names = pad_in_list({job.document_id for job in held})
    rows = tx.conn.execute(_HOLDERS, {"t": tx.tenant, "names": names}).all()
    now = {row.document_id: (row.revision, row.holder) for row in rows}
    return [now.get(job.document_id) == (job.revision, job.holder) for job in held]


def finish(tx: TenantTx, mutations: Sequence[Mutation[Processed]]) -> Sequence[Outcome[bool]]:
    """Answers whether the job was still held, and is done."""
    results = [mutation.payload for mutation in mutations]
    held = _held(tx, [result.job for result in results])
    done = {
        result.job.document_id: (mutation, result)
        for mutation, result, mine in zip(mutations, results, held, strict=True)
        if mine
    }
    if done:
        containers = containers_of(tx.conn, tx.tenant, done)
        rows: list[dict[str, object]] = []
        for document_id, (mutation, result) in done.items():
            tx.change(mutation, ChangeKind.DOCUMENT_PROCESSED, document_id, containers[document_id])
            rows.extend(_row(tx, document_id, chunk) for chunk in result.changed)
        _make_way(tx, {document_id: result for document_id, (_, result) in done.items()})
        insert_rows(tx.conn, chunks, rows)
        _settle(tx, done, Status.DONE)
        tx.conn.execute(_DONE_WITH, {"t": tx.tenant, "names": pad_in_list(done)})
    return held


def _make_way(tx: TenantTx, results: Mapping[str, Processed]) -> None:
    """Delete the chunks that others take the place of, or that are too many."""
    written = {name: {chunk.position for chunk in r.changed} for name, r in results.items()}
    gone = [
        {"t": tx.tenant, "document": row.document_id, "at": row.position}
        for row in tx.conn.execute(_PLACES, {"t": tx.tenant, "names": pad_in_list(results)})
        if row.position >= results[row.document_id].count
        or row.position in written[row.document_id]
    ]
    if gone:
        tx.conn.execute(_DELETE, gone)
        tx.erased = True


def _settle(
    tx: TenantTx, names: Iterable[str], status: Status, error: str = "", attempts: int = 0
) -> None:
    where = {"t": tx.tenant, "names": pad_in_list(names), "to_status": int(status)}
    tx.conn.execute(_SETTLE, {**where, "to_error": error, "to_tries": attempts})


def _row(tx: TenantTx, document_id: str, chunk: ChunkRow) -> dict[str, object]:
    row = {
        "tenant": tx.tenant,
        "document_id": document_id,
        "position": chunk.position,
        "chunk_id": chunk.id,
        "text": chunk.text.encode(),
        "starts": chunk.start,
        "ends": chunk.end,
        "heading": chunk.heading.encode(),
        "speaker": chunk.speaker.encode(),
        "instant": chunk.instant,
        "utc_offset": chunk.offset,
        "digest": chunk.digest,
        "entry": chunk.index.entry,
        "vector": chunk.index.vector,
        "embedder": chunk.index.embedder,
    }
    row["checksum"] = checksums.of_chunk(tx.digester, row)
    return row


def fail(tx: TenantTx, mutations: Sequence[Mutation[Failed]]) -> Sequence[Outcome[bool]]:
    """Answers whether the job was still held."""
    results = [mutation.payload for mutation in mutations]
    held = _held(tx, [result.job for result in results])
    containers = containers_of(tx.conn, tx.tenant, {r.job.document_id for r in results})
    for mutation, result, mine in zip(mutations, results, held, strict=True):
        if not mine:
            continue
        document_id = result.job.document_id
        if result.retry_at is None:
            tx.change(mutation, ChangeKind.DOCUMENT_FAILED, document_id, containers[document_id])
            _settle(tx, [document_id], Status.FAILED, result.error, result.job.attempts)
            tx.conn.execute(_DONE_WITH, {"t": tx.tenant, "names": [document_id]})
        else:
            again = {"t": tx.tenant, "document": document_id, "to_due": result.retry_at}
            tx.conn.execute(_AGAIN, again)
            _settle(tx, [document_id], Status.QUEUED)
    return held
