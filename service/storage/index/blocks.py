"""A container's index rows, block by block: none is held in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    CursorResult,
    Select,
    and_,
    bindparam,
    case,
    exists,
    null,
    select,
    union_all,
)

from service.core.memories import MADE, End
from service.core.times import FOREVER
from service.ports.indexing import BlockCursor, IndexBlock, IndexRow
from service.storage.functions import FoundFirst
from service.storage.lists import tenant_revision
from service.storage.memories.rows import SPANS_JOINED
from service.storage.tables import chunks, document_containers, memories, memory_spans
from service.storage.transactions import pad_in_list

ROW_BYTES = 500
"""What a row takes up in addition to its entry and its vector, roughly."""

_FETCHED = 200
"""Rows fetched at once."""

ALL_ROWS = 2**31 - 1
"""Rows of one version or document that has more than that."""

MEMORY_COLUMNS = (
    # The span's name for it, by which its index is ordered.
    memory_spans.c.memory_id,
    memories.c.root_id,
    memories.c.version,
    memories.c.entry,
    memories.c.vector,
    memories.c.embedder,
    memory_spans.c.content_hash,
    memory_spans.c.shown_from,
    memory_spans.c.shown_until,
    # As of now a current span without an end is shown until then; others are not shown.
    case(
        (
            and_(
                memory_spans.c.state_until == FOREVER,
                *(memory_spans.c.end_kind != int(end) for end in MADE),
            ),
            memory_spans.c.shown_until,
        ),
        else_=0,
    ).label("until"),
)
CHUNK_COLUMNS = (
    chunks.c.document_id,
    chunks.c.position,
    chunks.c.chunk_id,
    chunks.c.entry,
    chunks.c.vector,
    chunks.c.embedder,
    chunks.c.digest,
)
IN_CONTAINER = document_containers.join(
    chunks,
    and_(
        chunks.c.tenant == document_containers.c.tenant,
        chunks.c.document_id == FoundFirst(document_containers.c.document_id),
    ),
)


class Block:
    """Rows that are read until they are so many bytes.

    Args:
        embedder: The space whose vectors are wanted; others are left out.
        size: Bytes, see `StoreOptions.index_block_bytes`.
    """

    def __init__(self, embedder: int | None, size: int) -> None:
        self.memories: list[IndexRow] = []
        self.chunks: list[IndexRow] = []
        self.embedder = embedder
        self._room = size

    def take_memories(self, rows: CursorResult[Any], most: int) -> bool:
        """Take whole versions from rows of MEMORY_COLUMNS; whether some are left.

        Args:
            rows: At most `most` of those that there are.
            most: If there are so many, the last version may have further rows, and is left.
        """
        read = 0
        with rows:
            for _, spans in groupby(_fetched(rows), itemgetter(0)):
                if self._room <= 0:
                    return True
                shown, until = [], 0
                for row in spans:
                    read += 1
                    name, root, version, entry, vector, space, digest, start, end, open_until = row
                    shown.append((start, end))
                    until = max(until, open_until)
                kept = self._kept(entry, vector, space)
                self.memories.append(
                    IndexRow(name, root, version, entry, kept, digest, tuple(sorted(shown)), until)
                )
        if read == most:
            self.memories.pop()
        return read == most

    def take_chunks(self, rows: CursorResult[Any], most: int, *, whole: bool) -> bool:
        """Take rows of CHUNK_COLUMNS; `whole`: all of a document, or none.

        Args:
            rows: At most `most` of those that there are.
            most: If there are so many, the last document may have further ones.
            whole: See above; such a document is left.
        """
        read = 0
        with rows:
            document = None
            for document_id, position, name, entry, vector, space, digest in _fetched(rows):
                if self._room <= 0 and not (whole and document_id == document):
                    return True
                read += 1
                document = document_id
                kept = self._kept(entry, vector, space)
                self.chunks.append(IndexRow(name, document_id, position, entry, kept, digest))
        while whole and read == most and self.chunks and self.chunks[-1].entity == document:
            self.chunks.pop()
        return read == most

    def _kept(self, entry: bytes | None, vector: bytes | None, space: int) -> bytes | None:
        kept = vector if space == self.embedder else None
        self._room -= ROW_BYTES + len(entry or b"") + len(kept or b"")
        return kept


def rows_of_block(size: int) -> int:
    """Rows that fill a block of this size however small they are, and one that tells of more."""
    return size // ROW_BYTES + 2


def _fetched(rows: CursorResult[Any]) -> Iterator[Any]:
    return chain.from_iterable(rows.partitions(_FETCHED))


def read_block(
    conn: Connection,
    tenant: int,
    container: str,
    cursor: BlockCursor,
    embedder: int | None,
    size: int,
    without: Sequence[str] = (),
    most: int | None = None,
) -> IndexBlock:
    """See `IndexSource.block`.

    Args:
        size: Bytes, see `Block`.
        most: Rows that a statement answers, unless they are too few; None: `rows_of_block`.
    """
    revision = tenant_revision(conn, tenant)
    if most is None:
        most = rows_of_block(size)
    block = Block(embedder, size)
    found = _read_into(block, conn, tenant, container, cursor, without, most, revision)
    if found is None:
        return read_block(conn, tenant, container, cursor, embedder, size, without, ALL_ROWS)
    return found


def _read_into(
    block: Block,
    conn: Connection,
    tenant: int,
    container: str,
    cursor: BlockCursor,
    without: Sequence[str],
    most: int,
    revision: int,
) -> IndexBlock | None:
    """A block of at most `most` rows of each kind; None: not one version or document is whole."""
    where: dict[str, object] = {"t": tenant, "in_container": container, "most": most}
    vectors = block.embedder is not None
    if cursor.memory is not None:
        rows = conn.execute(_memories(vectors=vectors), {**where, "after": cursor.memory})
        if block.take_memories(rows, most):
            if not block.memories:
                return None
            return IndexBlock(revision, block.memories, (), BlockCursor(block.memories[-1].id))
    where["after"] = cursor.document
    if without:
        where["others"] = pad_in_list(without)
    rows = conn.execute(_chunks(vectors=vectors, elsewhere=bool(without)), where)
    more = block.take_chunks(rows, most, whole=True)
    if more and not block.chunks and not block.memories:
        return None
    last = block.chunks[-1].entity if block.chunks else cursor.document
    following = BlockCursor(None, last) if more else None
    return IndexBlock(revision, block.memories, block.chunks, following)


@cache
def _memories(*, vectors: bool) -> CompoundSelect[Any]:
    """Versions after one, by id: a branch for each kind of end, as the index has them."""
    columns = [
        null().label(c.name) if not vectors and c.name == "vector" else c for c in MEMORY_COLUMNS
    ]
    branches = [
        select(*columns)
        .select_from(SPANS_JOINED)
        .where(
            memory_spans.c.tenant == bindparam("t"),
            memory_spans.c.container == bindparam("in_container"),
            memory_spans.c.end_kind == int(end),
            memory_spans.c.memory_id > bindparam("after"),
        )
        for end in End
    ]
    return union_all(*branches).order_by("memory_id").limit(bindparam("most"))


@cache
def _chunks(*, vectors: bool, elsewhere: bool) -> Select[Any]:
    """Chunks of documents after one, by document; `elsewhere`: without those in `others`."""
    columns = [
        null().label(c.name) if not vectors and c.name == "vector" else c for c in CHUNK_COLUMNS
    ]
    statement = (
        select(*columns)
        .select_from(IN_CONTAINER)
        .where(
            document_containers.c.tenant == bindparam("t"),
            document_containers.c.container == bindparam("in_container"),
            document_containers.c.document_id > bindparam("after"),
        )
        .order_by(document_containers.c.document_id, chunks.c.position)
        .limit(bindparam("most"))
    )
    if not elsewhere:
        return statement
    other = document_containers.alias("other")
    return statement.where(
        ~exists().where(
            other.c.tenant == document_containers.c.tenant,
            other.c.container.in_(bindparam("others", expanding=True)),
            other.c.document_id == document_containers.c.document_id,
        )
    )
