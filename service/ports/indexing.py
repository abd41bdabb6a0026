"""Index entries: their protocol, and the rows, blocks and deltas that the search reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from service.core.times import FOREVER, Moment

NO_EMBEDDER = 0
"""The number of the vector space of entries without a vector."""


@dataclass(slots=True)
class IndexEntry:
    """What is stored with a text for the search.

    Args:
        entry: Its words and features, encoded by the search.
        vector: Its vector, encoded by the search; None: found by words alone.
        embedder: The number of the vector's space.
        date: Its date, which stands among the words; not stored.
    """

    entry: bytes
    vector: bytes | None = None
    embedder: int = NO_EMBEDDER
    date: Moment | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled by position: a third of the time that names take, and thousands are sent.
        return IndexEntry, (self.entry, self.vector, self.embedder, self.date)


class Indexer(Protocol):
    """Makes index entries of memories' texts."""

    def is_cheap(self, texts: Sequence[str]) -> bool:
        """Whether texts are indexed so fast that other writes may wait for it."""
        ...

    async def index(self, texts: Sequence[str], dates: Sequence[Moment | None]) -> list[IndexEntry]:
        """One entry for each text and the date it speaks of; without vectors while the
        embedder is unavailable."""
        ...

    def dated(self, text: str, date: Moment | None) -> bytes:
        """The words and features of a text that speaks of a date, as `IndexEntry.entry`.

        For a date that a version inherits, which is known only inside its transaction; vectors
        do not depend on dates.
        """
        ...


class NullIndexer:
    """Indexes nothing: what is written is indexed later."""

    def is_cheap(self, texts: Sequence[str]) -> bool:  # noqa: ARG002
        return False

    async def index(
        self,
        texts: Sequence[str],  # noqa: ARG002
        dates: Sequence[Moment | None],  # noqa: ARG002
    ) -> list[IndexEntry]:
        return []

    def dated(self, text: str, date: Moment | None) -> bytes:  # noqa: ARG002
        return b""


@dataclass(slots=True)
class IndexRow:
    """A memory version or a chunk, as the search reads it.

    Args:
        id: The memory's or the chunk's.
        entity: The id in the change log: the root of the chain, or the document.
        position: The chunk's place in its document; the memory's version.
        entry: See IndexEntry; None: not indexed yet.
        vector: Of the current space, or None.
        spans: When it is shown: [from, until) in microseconds; empty: always.
        until: As of now, it is shown before this instant of the wall clock; 0: not shown.
    """

    id: str
    entity: str
    position: int
    entry: bytes | None
    vector: bytes | None
    digest: bytes
    spans: Sequence[tuple[int, int]] = ()
    until: int = FOREVER


@dataclass(frozen=True, slots=True)
class BlockCursor:
    """Where a block of a container's rows begins: memories come first, by id, then chunks.

    Args:
        memory: The last memory version that was read; None: all have been read.
        document: The last document that was read.
    """

    memory: str | None = ""
    document: str = ""


@dataclass(slots=True)
class IndexBlock:
    """A part of a container's rows, as large as `IndexSource.block` says.

    Args:
        revision: The tenant's when they were read.
        memories: Whole memory versions, with all their spans.
        chunks: Those of whole documents.
        following: Where the next block begins; None: this is the last.
    """

    revision: int
    memories: Sequence[IndexRow]
    chunks: Sequence[IndexRow]
    following: BlockCursor | None = None


@dataclass(frozen=True, slots=True)
class DeltaCursor:
    """What remains to be read of a delta.

    Args:
        roots: Chains of memories.
        documents: Documents.
        after: The last root and version, or document and position, that was read.
    """

    roots: tuple[str, ...]
    documents: tuple[str, ...]
    after: tuple[str, int] = ("", -1)


@dataclass(slots=True)
class IndexDelta:
    """What has changed in a container since a revision.

    Args:
        revision: The tenant's, up to which the index is true once everything is applied.
        entities: All that has changed; an entity without rows is deleted. None: so much that
            the container has to be read again, block by block.
        memories: Rows of those entities.
        chunks: The same for documents.
        following: What remains to be read, by `IndexSource.more`.
        complete: Whether there were no changes after `revision` when it was read.
    """

    revision: int
    entities: frozenset[str] | None
    memories: Sequence[IndexRow] = ()
    chunks: Sequence[IndexRow] = ()
    following: DeltaCursor | None = None
    complete: bool = True
