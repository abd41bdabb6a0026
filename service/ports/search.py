"""What a search is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from service.core.filters import Filter
from service.core.model import Document, Memory, Principal
from service.ports.indexing import BlockCursor, DeltaCursor, IndexBlock, IndexDelta
from service.ports.processing import ChunkRow


@dataclass(frozen=True, slots=True)
class DocumentSearch:
    """What SearchDocuments looks for."""

    query: str
    containers: tuple[str, ...]
    filter: Filter | None = None
    min_score: float = 0.0
    limit: int = 10
    neighbors: int = 0
    include_content: bool = False


@dataclass(frozen=True, slots=True)
class MemorySearch:
    """What SearchMemories looks for. `as_of` None means now."""

    query: str
    containers: tuple[str, ...]
    filter: Filter | None = None
    min_score: float = 0.0
    limit: int = 10
    as_of: int | None = None
    include_forgotten: bool = False
    include_history: bool = False
    include_chunks: bool = False
    every_text: bool = False
    """Also find what says the same as a better hit."""


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """What a score was made of; see the contract."""

    lexical: float
    semantic: float
    rank: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Found:
    """An item that was found. `group` is the document of a chunk, "" for a memory."""

    id: str
    container: str
    group: str
    position: int
    score: float
    parts: ScoreParts


@dataclass(slots=True)
class ChunkHit:
    document_id: str
    chunk: ChunkRow
    score: float
    parts: ScoreParts
    before: Sequence[ChunkRow] = ()
    after: Sequence[ChunkRow] = ()


@dataclass(slots=True)
class DocumentHit:
    """A document and what was found in it, best first."""

    document: Document
    chunks: list[ChunkHit]


@dataclass(slots=True)
class MemoryHit:
    memory: Memory
    score: float
    parts: ScoreParts


@dataclass(frozen=True, slots=True)
class DocumentHits:
    hits: Sequence[DocumentHit]
    revision: int


@dataclass(frozen=True, slots=True)
class MemoryHits:
    hits: Sequence[MemoryHit | ChunkHit]
    revision: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a search reads of the storage once it has ranked.

    Args:
        memories: Versions, as (container, id).
        as_of: The instant at which they are shown; None: now.
        chunks: As (document, position, id).
        reach: How many chunks before and after each are read too.
        content: Whether documents come with theirs.
        known: Containers, each with the revision since which it is asked for changes.
    """

    memories: Sequence[tuple[str, str]] = ()
    as_of: int | None = None
    chunks: Sequence[tuple[str, int, str]] = ()
    reach: int = 0
    content: bool = False
    known: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was there of a lookup.

    Args:
        memories: By id.
        documents: Those of the chunks, by id.
        near: By chunk id, the chunk with those before and after it.
        unchanged: See `IndexSource.unchanged`.
    """

    memories: Mapping[str, Memory]
    documents: Mapping[str, Document]
    near: Mapping[str, Sequence[ChunkRow]]
    unchanged: Mapping[str, int]


class IndexSource(Protocol):
    """What the search reads of the storage."""

    async def unchanged(self, tenant: int, known: Mapping[str, int]) -> Mapping[str, int]:
        """The containers of which nothing has changed, and up to which revision that is so.

        Args:
            known: Containers, each with the revision since which it is asked for.
        """
        ...

    async def block(
        self,
        tenant: int,
        container: str,
        cursor: BlockCursor,
        embedder: int | None,
        *,
        without: Sequence[str] = (),
    ) -> IndexBlock:
        """The next of a container's rows: a few megabytes, or one document if it has more.

        Args:
            tenant: Whose.
            container: Which.
            cursor: Where the block begins.
            embedder: The space whose vectors are wanted; None: none.
            without: Containers whose documents are left out.
        """
        ...

    async def delta(
        self, tenant: int, container: str, after: int, embedder: int, *, stepwise: bool = False
    ) -> IndexDelta:
        """What an index that is true up to revision `after` misses.

        Args:
            tenant: Whose.
            container: Which.
            after: The revision.
            embedder: The space whose vectors are wanted.
            stepwise: Of very many changes answer the first ones, instead of none.
        """
        ...

    async def more(
        self, tenant: int, container: str, cursor: DeltaCursor, embedder: int
    ) -> IndexDelta:
        """The next rows of a delta; nothing else has changed."""
        ...

    async def matching(
        self,
        tenant: int,
        container: str,
        tree: Filter,
        documents: Iterable[str] | None = None,
        memories: Iterable[str] | None = None,
    ) -> set[str]:
        """Ids of documents and memory versions for which a filter is true.

        Args:
            documents: Look only at these; None: at all of the container.
            memories: The same for memory versions.
        """
        ...

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
        """Ids of memory versions shown, or also forgotten, or also superseded, at `as_of`, or
        (None) as of now by the wall clock.

        Args:
            memories: Look only at these; None: at all of the container.
        """
        ...

    async def look_up(self, who: Principal, wanted: Lookup) -> Looked:
        """What is there now; what was deleted since is left out."""
        ...

    def now(self) -> int:
        """The wall clock."""
        ...


class Searcher(Protocol):
    """Finding things. Every call may raise OVERLOADED or STORAGE_UNAVAILABLE."""

    async def documents(self, who: Principal, search: DocumentSearch) -> DocumentHits: ...

    async def memories(self, who: Principal, search: MemorySearch) -> MemoryHits: ...
