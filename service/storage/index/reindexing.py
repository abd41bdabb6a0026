"""Rows of other vector spaces, or of an older analysis: finding and renewing them.

Both are found by an index, which has the rows by their space and then by the first byte of
their entry, the version of the analysis that made it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    LargeBinary,
    Select,
    Table,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
    update,
)

from service.core.documents import indexed_heading
from service.core.model import ChangeKind, ContentKind, Principal, Status
from service.core.times import parse_moment
from service.ports.indexing import NO_EMBEDDER
from service.ports.reindexing import Stale
from service.storage.documents.rows import containers_of
from service.storage.engine import MutationEngine
from service.storage.tables import chunks, documents, embedders, memories
from service.storage.transactions import SYSTEM_KEY_ID, Mutation, Outcome, TenantTx, pad_in_list


def _version(table: Table) -> ColumnElement[bytes]:
    """As the index has it: with constants, not parameters."""
    one: ColumnElement[int] = literal_column("1")
    return func.substr(table.c.entry, one, one, type_=LargeBinary)


def _columns(table: Table) -> list[ColumnElement[Any]]:
    place = (table.c.id,) if table is memories else (table.c.document_id, table.c.position)
    return [table.c.tenant, *place, table.c.embedder, _version(table).label("made_by")]


def _ranges(table: Table) -> tuple[ColumnElement[bool], ...]:
    """What is stale, as ranges of the index; no row is in two of them."""
    space = bindparam("space", type_=Integer)
    return (
        and_(table.c.embedder == space, _version(table) < bindparam("analysis")),
        table.c.embedder < space,
        table.c.embedder > space,
    )


def _any_of(ranges: Sequence[Select[Any]]) -> CompoundSelect[Any]:
    """The first rows that one of the statements finds."""
    most = bindparam("most", type_=Integer)
    parts = [select(part.limit(most).subquery()) for part in ranges]
    return union_all(*parts).limit(most)


def _stale_of(table: Table) -> CompoundSelect[Any]:
    return _any_of([select(*_columns(table)).where(found) for found in _ranges(table)])


# What a text's vector was made of is what its entry is made of, unless its document has
# been given another title and is not processed yet, or could not be.
_AS_EMBEDDED = (documents.c.kind == int(ContentKind.CONVERSATION)) | (
    documents.c.status == int(Status.DONE)
)
_OF_DOCUMENTS = chunks.join(
    documents, (documents.c.tenant == chunks.c.tenant) & (documents.c.id == chunks.c.document_id)
)
_OTHERS = union_all(
    # A range, so that it is no scan of the table.
    select(embedders.c.id).where(
        embedders.c.id > NO_EMBEDDER, embedders.c.id != bindparam("space")
    ),
    select(literal_column(str(NO_EMBEDDER))),
)


def _outdated_of(table: Table, *, elsewhere: bool) -> Select[Any]:
    statement = select(*_columns(table)).where(_version(table) < bindparam("analysis"))
    if elsewhere:
        statement = statement.where(table.c.embedder.in_(_OTHERS))
    else:
        statement = statement.where(table.c.embedder == bindparam("space"))
        if table is chunks:
            statement = statement.select_from(_OF_DOCUMENTS).where(_AS_EMBEDDED)
    return statement.limit(bindparam("most"))


@dataclass(frozen=True, slots=True)
class _Finding:
    """How memories and chunks are found."""

    memories: Select[Any] | CompoundSelect[Any]
    chunks: Select[Any] | CompoundSelect[Any]


_STALE = _Finding(_stale_of(memories), _stale_of(chunks))
_OUTDATED = {
    elsewhere: _Finding(
        _outdated_of(memories, elsewhere=elsewhere), _outdated_of(chunks, elsewhere=elsewhere)
    )
    for elsewhere in (False, True)
}
_COUNTS = [
    select(func.count()).select_from(table).where(found)
    for table in (memories, chunks)
    for found in _ranges(table)
]
_PLACES = (
    chunks.c.tenant == bindparam("t"),
    chunks.c.document_id.in_(bindparam("names", expanding=True)),
    chunks.c.position.between(bindparam("low"), bindparam("high")),
)
"""Those of these documents, and more if there are several."""

_TEXTS = select(memories.c.id, memories.c.content, memories.c.document_date).where(
    memories.c.tenant == bindparam("t"), memories.c.id.in_(bindparam("names", expanding=True))
)
_CHUNK_TEXTS = (
    select(
        chunks.c.document_id,
        chunks.c.position,
        chunks.c.text,
        chunks.c.heading,
        chunks.c.speaker,
        chunks.c.instant,
        chunks.c.utc_offset,
        documents.c.title,
        documents.c.kind,
    )
    .select_from(_OF_DOCUMENTS)
    .where(*_PLACES)
)
_MEMORIES_NOW = select(*_columns(memories), memories.c.container).where(
    memories.c.tenant == bindparam("t"), memories.c.id.in_(bindparam("names", expanding=True))
)
_CHUNKS_NOW = select(*_columns(chunks)).where(*_PLACES)
_ONE_MEMORY = update(memories).where(
    memories.c.tenant == bindparam("t"), memories.c.id == bindparam("of_id")
)
_ONE_CHUNK = update(chunks).where(
    chunks.c.tenant == bindparam("t"),
    chunks.c.document_id == bindparam("of_id"),
    chunks.c.position == bindparam("at"),
    chunks.c.text == bindparam("of_text"),
)
_RENEW = {
    (table, embedded): one.values({name: bindparam(f"to_{name}") for name in names})
    for table, one in ((memories, _ONE_MEMORY), (chunks, _ONE_CHUNK))
    for embedded, names in ((False, ["entry"]), (True, ["entry", "vector", "embedder"]))
}


@dataclass(frozen=True, slots=True)
class _Renewal:
    stale: Stale
    entry: bytes
    vector: bytes | None
    space: int

    def replaces(self, row: Any) -> bool:
        """Whether a row still has the entry that this was to replace; None has none."""
        stale = self.stale
        return row is not None and _made_by(row) == (stale.space, stale.version)


class ReindexStore:
    """See `ports.reindexing.Reindex`."""

    def __init__(self, engine: MutationEngine) -> None:
        self._engine = engine

    async def stale(self, space: int, version: int, limit: int) -> Sequence[Stale]:
        return await self._found(_STALE, space, version, limit)

    async def outdated(
        self, space: int, version: int, limit: int, *, elsewhere: bool = False
    ) -> Sequence[Stale]:
        return await self._found(_OUTDATED[elsewhere], space, version, limit)

    async def _found(
        self, finding: _Finding, space: int, version: int, limit: int
    ) -> Sequence[Stale]:
        where = _where(space, version)
        return await self._engine.database.read(lambda conn: _find(conn, finding, where, limit))

    async def remaining(self, space: int, version: int) -> int:
        def count(conn: Connection) -> int:
            where = _where(space, version)
            return sum(conn.execute(statement, where).scalar_one() for statement in _COUNTS)

        return await self._engine.database.read(count)

    async def refresh(
        self,
        stale: Sequence[Stale],
        entries: Sequence[bytes],
        vectors: Sequence[bytes] | None,
        space: int,
    ) -> None:
        kept: Sequence[bytes | None] = vectors or [None] * len(stale)
        renewals = [
            _Renewal(one, entry, vector, space)
            for one, entry, vector in zip(stale, entries, kept, strict=True)
        ]
        for tenant in {one.tenant for one in stale}:
            mine = [renewal for renewal in renewals if renewal.stale.tenant == tenant]
            mutation = Mutation(Principal(tenant, SYSTEM_KEY_ID), mine)
            await self._engine.mutate(_refresh, mutation, len(mine))


def _where(space: int, version: int) -> dict[str, object]:
    return {"space": space, "analysis": bytes([version])}


def _made_by(row: Any) -> tuple[int, int]:
    """The space and the version of a row's entry."""
    return row.embedder, (row.made_by or b"\0")[0]


def _find(conn: Connection, finding: _Finding, where: dict[str, object], limit: int) -> list[Stale]:
    found: list[Stale] = []
    rows: Sequence[Any] = conn.execute(finding.memories, {**where, "most": limit}).all()
    for tenant in {row.tenant for row in rows}:
        entries = {row.id: _made_by(row) for row in rows if row.tenant == tenant}
        texts = conn.execute(_TEXTS, {"t": tenant, "names": pad_in_list(entries)})
        found.extend(_stale_memory(tenant, row, *entries[row.id]) for row in texts)
    if len(found) >= limit:
        return found
    rows = conn.execute(finding.chunks, {**where, "most": limit - len(found)}).all()
    for tenant in {row.tenant for row in rows}:
        places = {
            (row.document_id, row.position): _made_by(row) for row in rows if row.tenant == tenant
        }
        found.extend(
            _stale_chunk(tenant, row, *places[row.document_id, row.position])
            for row in conn.execute(_CHUNK_TEXTS, _at(tenant, places))
            if (row.document_id, row.position) in places
        )
    return found


def _stale_memory(tenant: int, row: Any, space: int, version: int) -> Stale:
    date = parse_moment(row.document_date or "")
    return Stale(
        tenant,
        row.id,
        None,
        space,
        version,
        str(row.content, "utf-8"),
        instant=date and date.instant,
        offset=date and date.offset,
    )


def _stale_chunk(tenant: int, row: Any, space: int, version: int) -> Stale:
    return Stale(
        tenant,
        row.document_id,
        row.position,
        space,
        version,
        str(row.text, "utf-8"),
        indexed_heading(ContentKind(row.kind), row.title, str(row.heading, "utf-8")),
        str(row.speaker, "utf-8"),
        row.instant,
        row.utc_offset,
    )


def _at(tenant: int, places: Collection[tuple[str, int]]) -> dict[str, object]:
    """The parameters of `_PLACES`."""
    positions = [position for _, position in places]
    return {
        "t": tenant,
        "names": pad_in_list(sorted({document_id for document_id, _ in places})),
        "low": min(positions),
        "high": max(positions),
    }


def _refresh(
    tx: TenantTx, mutations: Sequence[Mutation[list[_Renewal]]]
) -> Sequence[Outcome[None]]:
    """Payload: renewals. What changes is a change, for the indexes of every process."""
    for mutation in mutations:
        _refresh_memories(tx, mutation)
        _refresh_chunks(tx, mutation)
    return [None] * len(mutations)


def _refresh_memories(tx: TenantTx, mutation: Mutation[list[_Renewal]]) -> None:
    wanted = {r.stale.id: r for r in mutation.payload if r.stale.position is None}
    if not wanted:
        return
    rows = tx.conn.execute(_MEMORIES_NOW, {"t": tx.tenant, "names": pad_in_list(wanted)})
    same = [row for row in rows.all() if wanted[row.id].replaces(row)]
    _write(tx, memories, [wanted[row.id] for row in same])
    for row in same:
        tx.change(mutation, ChangeKind.MEMORY_INDEXED, row.id, [row.container])


def _refresh_chunks(tx: TenantTx, mutation: Mutation[list[_Renewal]]) -> None:
    wanted = {
        (r.stale.id, r.stale.position): r for r in mutation.payload if r.stale.position is not None
    }
    if not wanted:
        return
    rows = tx.conn.execute(_CHUNKS_NOW, _at(tx.tenant, wanted)).all()
    by_place = {(row.document_id, row.position): row for row in rows}
    same = [one for place, one in wanted.items() if one.replaces(by_place.get(place))]
    _write(tx, chunks, same)
    containers = containers_of(tx.conn, tx.tenant, {one.stale.id for one in same})
    for document_id, tags in containers.items():
        tx.change(mutation, ChangeKind.DOCUMENT_INDEXED, document_id, tags)


def _write(tx: TenantTx, table: Table, renewals: Sequence[_Renewal]) -> None:
    for embedded in (False, True):
        values = [
            {
                "t": tx.tenant,
                "of_id": renewal.stale.id,
                "at": renewal.stale.position,
                "of_text": renewal.stale.text.encode(),
                "to_entry": renewal.entry,
                "to_vector": renewal.vector,
                "to_embedder": renewal.space,
            }
            for renewal in renewals
            if (renewal.vector is not None) is embedded
        ]
        if values:
            tx.conn.execute(_RENEW[table, embedded], values)
