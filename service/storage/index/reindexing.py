"""Rows of other vector spaces: finding them, and bringing them into the current one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, select, union_all, update

from service.core.documents import indexed_heading
from service.core.model import ContentKind, Principal
from service.ports.reindexing import Stale
from service.storage.change_kinds import ChangeKind
from service.storage.documents.rows import containers_of
from service.storage.engine import MutationEngine
from service.storage.tables import chunks, documents, memories
from service.storage.transactions import SYSTEM_ACTOR, Mutation, Outcome, TenantTx, pad_in_list


def _outside(table: Table) -> Any:
    """What is in another space: on either side of it, so that an index finds both."""
    columns = (
        (table.c.tenant, table.c.id, table.c.embedder)
        if table is memories
        else (table.c.tenant, table.c.document_id, table.c.position, table.c.embedder)
    )
    below = select(*columns).where(table.c.embedder < bindparam("space")).limit(bindparam("most"))
    above = select(*columns).where(table.c.embedder > bindparam("space")).limit(bindparam("most"))
    return union_all(select(below.subquery()), select(above.subquery())).limit(bindparam("most"))


_MEMORIES = _outside(memories)
_CHUNKS = _outside(chunks)
_TEXTS = select(memories.c.id, memories.c.content, memories.c.document_instant).where(
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
        documents.c.title,
        documents.c.kind,
    )
    .select_from(
        chunks.join(
            documents,
            (documents.c.tenant == chunks.c.tenant) & (documents.c.id == chunks.c.document_id),
        )
    )
    .where(
        chunks.c.tenant == bindparam("t"),
        chunks.c.document_id.in_(bindparam("names", expanding=True)),
    )
)
_RENEW_MEMORY = (
    update(memories)
    .where(
        memories.c.tenant == bindparam("t"),
        memories.c.id == bindparam("memory"),
        memories.c.embedder == bindparam("before"),
    )
    .values(
        entry=bindparam("to_entry"), vector=bindparam("to_vector"), embedder=bindparam("to_space")
    )
)
_RENEW_CHUNK = (
    update(chunks)
    .where(
        chunks.c.tenant == bindparam("t"),
        chunks.c.document_id == bindparam("document"),
        chunks.c.position == bindparam("at"),
        chunks.c.text == bindparam("of_text"),
        chunks.c.embedder == bindparam("before"),
    )
    .values(
        entry=bindparam("to_entry"), vector=bindparam("to_vector"), embedder=bindparam("to_space")
    )
)
_CONTAINERS = select(memories.c.id, memories.c.container).where(
    memories.c.tenant == bindparam("t"), memories.c.id.in_(bindparam("names", expanding=True))
)


@dataclass(frozen=True, slots=True)
class _Renewal:
    stale: Stale
    entry: bytes
    vector: bytes
    space: int


class ReindexStore:
    """See `ports.reindexing.Reindex`."""

    def __init__(self, engine: MutationEngine) -> None:
        self._engine = engine

    async def stale(self, space: int, limit: int) -> Sequence[Stale]:
        return await self._engine.database.read(lambda conn: _stale(conn, space, limit))

    async def remaining(self, space: int) -> int:
        def count(conn: Connection) -> int:
            return sum(
                conn.execute(select(func.count()).select_from(table).where(outside)).scalar_one()
                for table in (memories, chunks)
                for outside in (table.c.embedder < space, table.c.embedder > space)
            )

        return await self._engine.database.read(count)

    async def refresh(
        self,
        stale: Sequence[Stale],
        entries: Sequence[bytes],
        vectors: Sequence[bytes],
        space: int,
    ) -> None:
        renewals = [
            _Renewal(one, entry, vector, space)
            for one, entry, vector in zip(stale, entries, vectors, strict=True)
        ]
        for tenant in {one.tenant for one in stale}:
            mine = [renewal for renewal in renewals if renewal.stale.tenant == tenant]
            mutation = Mutation(Principal(tenant, SYSTEM_ACTOR), mine)
            await self._engine.mutate(_refresh, mutation, len(mine))


def _stale(conn: Connection, space: int, limit: int) -> list[Stale]:
    where = {"space": space, "most": limit}
    found: list[Stale] = []
    rows: Sequence[Any] = conn.execute(_MEMORIES, where).all()
    for tenant in {row.tenant for row in rows}:
        spaces = {row.id: row.embedder for row in rows if row.tenant == tenant}
        texts = conn.execute(_TEXTS, {"t": tenant, "names": pad_in_list(spaces)})
        found.extend(
            Stale(
                tenant,
                row.id,
                None,
                spaces[row.id],
                str(row.content, "utf-8"),
                instant=row.document_instant,
            )
            for row in texts
        )
    if len(found) >= limit:
        return found
    rows = conn.execute(_CHUNKS, {**where, "most": limit - len(found)}).all()
    for tenant in {row.tenant for row in rows}:
        places = {
            (row.document_id, row.position): row.embedder for row in rows if row.tenant == tenant
        }
        names = pad_in_list(sorted({document_id for document_id, _ in places}))
        found.extend(
            _stale_chunk(tenant, row, places[row.document_id, row.position])
            for row in conn.execute(_CHUNK_TEXTS, {"t": tenant, "names": names})
            if (row.document_id, row.position) in places
        )
    return found


def _stale_chunk(tenant: int, row: Any, space: int) -> Stale:
    return Stale(
        tenant,
        row.document_id,
        row.position,
        space,
        str(row.text, "utf-8"),
        indexed_heading(ContentKind(row.kind), row.title, str(row.heading, "utf-8")),
        str(row.speaker, "utf-8"),
        row.instant,
    )


def _refresh(
    tx: TenantTx, mutations: Sequence[Mutation[list[_Renewal]]]
) -> Sequence[Outcome[None]]:
    """Payload: renewals. What changes is a change, for the indexes of every process."""
    for mutation in mutations:
        renewals = mutation.payload
        of_memories = [r for r in renewals if r.stale.position is None]
        of_chunks = [r for r in renewals if r.stale.position is not None]
        if of_memories:
            tx.conn.execute(
                _RENEW_MEMORY, [{**_values(tx, r), "memory": r.stale.id} for r in of_memories]
            )
            names = {r.stale.id for r in of_memories}
            rows = tx.conn.execute(
                _CONTAINERS, {"t": tx.tenant, "names": pad_in_list(sorted(names))}
            )
            for row in rows.all():
                tx.change(mutation, ChangeKind.MEMORY_INDEXED, row.id, [row.container])
        if of_chunks:
            tx.conn.execute(
                _RENEW_CHUNK,
                [
                    {
                        **_values(tx, r),
                        "document": r.stale.id,
                        "at": r.stale.position,
                        "of_text": r.stale.text.encode(),
                    }
                    for r in of_chunks
                ],
            )
            containers = containers_of(tx.conn, tx.tenant, {r.stale.id for r in of_chunks})
            for document_id, tags in containers.items():
                tx.change(mutation, ChangeKind.DOCUMENT_INDEXED, document_id, tags)
    return [None] * len(mutations)


def _values(tx: TenantTx, renewal: _Renewal) -> dict[str, object]:
    return {
        "t": tx.tenant,
        "before": renewal.stale.space,
        "to_entry": renewal.entry,
        "to_vector": renewal.vector,
        "to_space": renewal.space,
    }
