"""The queue of documents to be processed: its protocol, jobs and results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Protocol

from service.core.model import Content, ContentKind, Status
from service.ports.indexing import IndexEntry


@dataclass(slots=True)
class ChunkRow:
    """A chunk as it is stored. `digest` stands for all that is searched of it."""

    id: str
    position: int
    text: str
    start: int
    end: int
    heading: str
    speaker: str
    instant: int | None
    digest: bytes
    index: IndexEntry
    offset: int | None = None
    """Minutes east of UTC of where it was said; None: unknown."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ChunkRow, _chunk_fields(self)  # As IndexEntry does.


_chunk_fields = attrgetter(*(field.name for field in fields(ChunkRow)))


@dataclass(slots=True)
class Job:
    """A document under a lease: the revision to process, and the lease's holder."""

    tenant: int
    document_id: str
    revision: int
    holder: str
    attempts: int


@dataclass(slots=True)
class Work:
    """A job with its input. `chunks` are those of the last time it was DONE."""

    job: Job
    kind: ContentKind
    content: Content
    title: str
    document_date: int | None
    chunks: Sequence[ChunkRow]


@dataclass(frozen=True, slots=True)
class Processed:
    """The result of a job.

    Args:
        changed: Chunks to write; the others of the document stay.
        count: How many chunks the document has now.
    """

    job: Job
    changed: Sequence[ChunkRow]
    count: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that failed.

    Args:
        error: The cause, and what the caller can do.
        retry_at: When to try again, in microseconds; None: give up.
    """

    job: Job
    error: str
    retry_at: int | None


class Queue(Protocol):
    """The documents that wait to be processed. Database errors are raised as PalimpsestError."""

    async def claim(self, holder: str, limit: int, lease: float) -> Sequence[Work]:
        """Take up to `limit` documents for `lease` seconds; containers take turns."""
        ...

    async def enter(self, jobs: Sequence[Job], status: Status) -> None:
        """Record the stage of documents whose jobs are still held."""
        ...

    async def renew(self, jobs: Sequence[Job], lease: float) -> None:
        """Extend the leases of jobs still held to `lease` seconds from now."""
        ...

    async def release(self, jobs: Sequence[Job]) -> None:
        """Return jobs that were not started or not finished to the queue."""
        ...

    async def finish(self, processed: Sequence[Processed]) -> Sequence[bool]:
        """Replace the chunks of each document and make it DONE.

        False: a newer write or another worker has it, and nothing was changed. If one
        cannot be written, the others still are, and its error is raised.
        """
        ...

    async def fail(self, failed: Failed) -> bool:
        """Queue the document again, or make it FAILED; False as for `finish`."""
        ...

    async def arrival(self, seconds: float) -> None:
        """Wait until a document may have entered the queue, at most so long."""
        ...

    def now(self) -> int: ...
