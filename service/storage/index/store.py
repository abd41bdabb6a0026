"""What searches read, as they see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from service.core import filters as f
from service.core.model import Document, Memory, Principal
from service.ports.indexing import BlockCursor, DeltaCursor, IndexBlock, IndexDelta
from service.ports.processing import ChunkRow
from service.ports.search import Hydrated, HydrationRequest
from service.storage.documents import chunks
from service.storage.documents import rows as document_rows
from service.storage.engine import MutationEngine, StoreOptions
from service.storage.index import blocks as index_blocks
from service.storage.index import rows as index_rows
from service.storage.lists import visible_containers
from service.storage.memories import rows as memory_rows


class IndexStore:
    """What searches read; see `ports.search.SearchSource`."""

    def __init__(self, engine: MutationEngine, options: StoreOptions) -> None:
        self._engine = engine
        self._options = options

    def now(self) -> int:
        return self._engine.now()

    async def containers(self, principal: Principal) -> Sequence[str]:
        return await self._engine.database.read(
            lambda conn: visible_containers(conn, principal),
            snapshot=False,
            tenant=principal.tenant,
        )

    async def unchanged(self, tenant: int, known: Mapping[str, int]) -> Mapping[str, int]:
        # Each container is asked for with one statement, which is a snapshot of its own.
        digester = self._engine.context.digester
        return await self._engine.database.read(
            lambda conn: index_rows.unchanged(conn, digester, tenant, known),
            snapshot=False,
            tenant=tenant,
        )

    async def block(
        self,
        tenant: int,
        container: str,
        cursor: BlockCursor,
        embedder: int | None,
        *,
        without: Sequence[str] = (),
    ) -> IndexBlock:
        size = self._options.index_block_bytes
        return await self._engine.database.read(
            lambda conn: index_blocks.read_block(
                conn, tenant, container, cursor, embedder, size, without
            ),
            tenant=tenant,
        )

    async def delta(
        self, tenant: int, container: str, after: int, embedder: int, *, stepwise: bool = False
    ) -> IndexDelta:
        digester, options = self._engine.context.digester, self._options
        return await self._engine.database.read(
            lambda conn: index_rows.read_delta(
                conn, digester, tenant, container, after, embedder, options, stepwise=stepwise
            ),
            tenant=tenant,
        )

    async def more(
        self, tenant: int, container: str, cursor: DeltaCursor, embedder: int
    ) -> IndexDelta:
        size = self._options.index_block_bytes
        return await self._engine.database.read(
            lambda conn: index_rows.read_more(conn, tenant, container, cursor, embedder, size),
            tenant=tenant,
        )

    async def matching(
        self,
        tenant: int,
        container: str,
        tree: f.Filter,
        documents: Iterable[str] | None = None,
        memories: Iterable[str] | None = None,
    ) -> set[str]:
        def both(conn: Connection) -> set[str]:
            found: set[str] = set()
            if documents is None or documents:
                found |= index_rows.matching_documents(conn, tenant, container, tree, documents)
            if memories is None or memories:
                found |= index_rows.matching_memories(conn, tenant, container, tree, memories)
            return found

        return await self._engine.database.read(both, tenant=tenant)

    async def in_state(
        self,
        tenant: int,
        container: str,
        as_of: int | None,
        wall: int,
        *,
        forgotten: bool,
        history: bool,
        memories: Iterable[str] | None = None,
    ) -> set[str]:
        return await self._engine.database.read(
            lambda conn: index_rows.in_state(
                conn,
                tenant,
                container,
                as_of,
                wall,
                forgotten=forgotten,
                history=history,
                among=memories,
            ),
            tenant=tenant,
        )

    async def hydrate(self, principal: Principal, wanted: HydrationRequest) -> Hydrated:
        engine, names = self._engine, wanted.memories
        if not (names or wanted.chunks or wanted.known):
            return Hydrated({}, {}, {}, {})
        reads = [memory_rows.MemoryRead(principal, tag, name, wanted.as_of) for tag, name in names]

        def read(conn: Connection) -> Hydrated:
            memories = memory_rows.read(conn, engine.context.digester, reads, engine.now())
            found = {memory.id: memory for memory in memories if isinstance(memory, Memory)}
            return Hydrated(
                found,
                _documents(conn, principal, wanted, found.values()),
                _near(conn, principal, wanted),
                index_rows.unchanged(conn, engine.context.digester, principal.tenant, wanted.known),
            )

        # One tenant's memories at one instant are one statement, and a snapshot of its own.
        return await engine.database.read(
            read, snapshot=bool(wanted.chunks) or wanted.sources, tenant=principal.tenant
        )


def _documents(
    conn: Connection, principal: Principal, wanted: HydrationRequest, memories: Iterable[Memory]
) -> dict[str, Document]:
    names = dict.fromkeys(document_id for document_id, _, _ in wanted.chunks)
    if wanted.sources:
        sources = (memory.source_document_id for memory in memories)
        names |= dict.fromkeys(name for name in sources if name is not None)
    return document_rows.read_found(conn, principal, names, content=wanted.content) if names else {}


def _near(
    conn: Connection, principal: Principal, wanted: HydrationRequest
) -> dict[str, Sequence[ChunkRow]]:
    if not wanted.chunks:
        return {}
    places = [(document_id, position) for document_id, position, _ in wanted.chunks]
    found = chunks.load_chunks_around(conn, principal.tenant, places, wanted.neighbors)
    # What stands there now may be another chunk, of a document that was written again.
    return {
        chunk_id: rows
        for (_, position, chunk_id), rows in zip(wanted.chunks, found, strict=True)
        if any(row.id == chunk_id and row.position == position for row in rows)
    }
