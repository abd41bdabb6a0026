"""Search: requests, hits, and the protocols of the searcher and of the index it reads."""

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
    """A SearchDocuments request. `containers` empty means all that the caller may see."""

    query: str
    containers: tuple[str, ...]
    filter: Filter | None = None
    min_score: float = 0.0
    limit: int = 10
    neighbors: int = 0
    include_content: bool = False
    must_contain: tuple[str, ...] = ()
    """Phrases that the text of a hit holds; see `MemorySearch`."""
    must_not_contain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemorySearch:
    """A SearchMemories request. `as_of` None means now.

    `containers` empty means all that the caller may see.
    """

    query: str
    containers: tuple[str, ...]
    filter: Filter | None = None
    min_score: float = 0.0
    limit: int = 10
    as_of: int | None = None
    include_forgotten: bool = False
    include_history: bool = False
    include_chunks: bool = False
    include_documents: bool = False
    """Whether the documents that memories came from are read, too."""
    exclude_speakers: tuple[str, ...] = ()
    """Names of those whose chunks are not found."""
    every_text: bool = False
    """Whether items whose text equals that of a better hit are found too."""
    insist: bool = False
    """Whether a hit holds all that the query insists on: the numbers and codes in it."""
    must_contain: tuple[str, ...] = ()
    """Phrases that the text of a hit holds, all of them, word for word."""
    must_not_contain: tuple[str, ...] = ()
    """Phrases of which it holds none."""


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """The parts of a score; see `ScoreParts` in the contract."""

    lexical: float
    semantic: float
    rank: float
    confidence: float
    found_terms: tuple[str, ...]
    missing_terms: tuple[str, ...]


@dataclass(slots=True)
class ChunkHit:
    document_id: str
    chunk: ChunkRow
    score: float
    parts: ScoreParts
    same_text: int
    """How many of the items searched have its text, itself included."""
    before: Sequence[ChunkRow] = ()
    after: Sequence[ChunkRow] = ()
    document: Document | None = None
    """Without content, in a search of memories."""


@dataclass(slots=True)
class DocumentHit:
    """A document and its hits, best first."""

    document: Document
    chunks: list[ChunkHit]


@dataclass(slots=True)
class MemoryHit:
    memory: Memory
    score: float
    parts: ScoreParts
    same_text: int
    """As in `ChunkHit`."""
    source: Document | None = None
    """The document it came from, if asked for and if there is one that the caller may see."""


@dataclass(frozen=True, slots=True)
class DocumentHits:
    hits: Sequence[DocumentHit]
    revision: int


@dataclass(frozen=True, slots=True)
class MemoryHits:
    hits: Sequence[MemoryHit | ChunkHit]
    revision: int


@dataclass(frozen=True, slots=True)
class HydrationRequest:
    """What a search reads from the storage once it has ranked.

    Args:
        memories: Versions, as (container, id).
        as_of: The instant that they are read at; None: now.
        chunks: As (document, position, id).
        neighbors: How many chunks before and after each are read too.
        content: Whether documents are read with their content.
        sources: Whether the documents are read that the memories came from.
        known: See `IndexSource.unchanged`.
    """

    memories: Sequence[tuple[str, str]] = ()
    as_of: int | None = None
    chunks: Sequence[tuple[str, int, str]] = ()
    neighbors: int = 0
    content: bool = False
    sources: bool = False
    known: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hydrated:
    """What was found of a `HydrationRequest`; what was deleted since is left out.

    Args:
        memories: By id.
        documents: The chunks' documents, and the memories' if asked for, by id.
        near: By chunk id, the chunk with its neighbors, in order.
        unchanged: See `IndexSource.unchanged`.
    """

    memories: Mapping[str, Memory]
    documents: Mapping[str, Document]
    near: Mapping[str, Sequence[ChunkRow]]
    unchanged: Mapping[str, int]


class IndexSource(Protocol):
    """What the search reads from the storage."""

    async def unchanged(self, tenant: int, known: Mapping[str, int]) -> Mapping[str, int]:
        """The containers in which nothing has changed, with the revision up to which that holds.

        Args:
            tenant: The tenant.
            known: Containers, each with the revision after which changes count.
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
        """The next rows of a container: a few megabytes, or one document if it is larger.

        Args:
            tenant: The tenant.
            container: The container.
            cursor: Where the block begins.
            embedder: The vector space to read vectors of; None: no vectors.
            without: Containers whose documents are left out.
        """
        ...

    async def delta(
        self, tenant: int, container: str, after: int, embedder: int, *, stepwise: bool = False
    ) -> IndexDelta:
        """What has changed in a container after a revision.

        Args:
            tenant: The tenant.
            container: The container.
            after: The revision.
            embedder: The vector space to read vectors of.
            stepwise: If there are very many changes, return the first ones instead of none.
        """
        ...

    async def more(
        self, tenant: int, container: str, cursor: DeltaCursor, embedder: int
    ) -> IndexDelta:
        """The next rows of a delta."""
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
            documents: Test only these; None: all of the container.
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
            memories: Test only these; None: all of the container.
        """
        ...

    async def hydrate(self, principal: Principal, wanted: HydrationRequest) -> Hydrated:
        """Read memories, and documents with chunks, by id."""
        ...

    def now(self) -> int:
        """The wall clock, in microseconds."""
        ...


@dataclass(frozen=True, slots=True)
class IndexUsage:
    """What the indexes in memory of one process take up, and how they are used.

    Args:
        used: Bytes.
        limit: Bytes that they may take up.
        warm: Containers whose index is in memory.
        cold: Containers that were searched before, and whose index is not in memory.
        loads: How often an index was loaded, since the process began.
        updates: How often what had changed was read into one that was in memory.
        streamed: Searches that read blocks, since there was no room.
    """

    used: int
    limit: int
    warm: int
    cold: int
    loads: int
    updates: int
    streamed: int


class SearchSource(IndexSource, Protocol):
    """As an IndexSource, for whole searches: also of those that name no container."""

    async def containers(self, principal: Principal) -> Sequence[str]:
        """The containers of a search that names none: all that the key may see, or, where
        there are none yet, one that it could see.

        Raises:
            PalimpsestError: INVALID_REQUEST if there are more than one search may name.
        """
        ...


class Searcher(Protocol):
    """Searches. Every call may raise OVERLOADED or STORAGE_UNAVAILABLE, and INVALID_REQUEST
    where it names no container and the caller may see too many."""

    async def documents(self, principal: Principal, search: DocumentSearch) -> DocumentHits: ...

    async def memories(self, principal: Principal, search: MemorySearch) -> MemoryHits: ...
