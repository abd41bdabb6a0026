"""What the pipeline takes from the storage, and what it hands back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Protocol

from service.core.model import ContentKind, Status
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

    def __reduce__(self) -> tuple[Any, ...]:
        return ChunkRow, _chunk_fields(self)  # As IndexEntry does.


_chunk_fields = attrgetter(*(field.name for field in fields(ChunkRow)))


def heading_of(title: str, heading: str) -> str:
    """What a chunk stands under: its document's title, and the headings of the text."""
    parts = (heading,) if heading.startswith(title) else (title, heading)
    return " > ".join(part for part in parts if part)


def indexed_heading(kind: ContentKind, title: str, heading: str) -> str:
    """What is indexed above a chunk's text; of a message nothing but itself is."""
    return heading if kind is ContentKind.CONVERSATION else heading_of(title, heading)


@dataclass(slots=True)
class Job:
    """A document under a lease: the write it is about, and who holds it."""

    tenant: int
    document_id: str
    revision: int
    holder: str
    attempts: int


@dataclass(slots=True)
class Work:
    """A job with what there is to do. `chunks` are those of the last DONE."""

    job: Job
    kind: ContentKind
    content: str
    title: str
    document_date: int | None
    chunks: Sequence[ChunkRow]


@dataclass(frozen=True, slots=True)
class Processed:
    """What came of a job.

    Args:
        changed: Chunks to write; the others of the document stay.
        count: How many chunks the document has from now on.
    """

    job: Job
    changed: Sequence[ChunkRow]
    count: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that came to nothing.

    Args:
        error: Why, and what the caller can do.
        retry_at: When to try again, in microseconds; None: give up.
    """

    job: Job
    error: str
    retry_at: int | None


class Queue(Protocol):
    """The documents that wait. Database errors are raised as PalimpsestError."""

    async def claim(self, holder: str, limit: int, lease: float) -> Sequence[Work]:
        """Take up to `limit` documents for `lease` seconds; containers take turns."""
        ...

    async def enter(self, jobs: Sequence[Job], status: Status) -> None:
        """Say what stage the documents of jobs still held have come to."""
        ...

    async def renew(self, jobs: Sequence[Job], lease: float) -> None:
        """Hold the jobs for `lease` seconds from now, as far as they are still held."""
        ...

    async def release(self, jobs: Sequence[Job]) -> None:
        """Give back jobs that were not begun or not finished, for others to take."""
        ...

    async def finish(self, processed: Sequence[Processed]) -> Sequence[bool]:
        """Swap the chunks of each document in and make it DONE.

        False: a newer write or another worker has it, and nothing was changed. If one
        cannot be written, the others are all the same, and its error is raised.
        """
        ...

    async def fail(self, failed: Failed) -> bool:
        """Queue the document again, or make it FAILED; False as for `finish`."""
        ...

    async def arrival(self, seconds: float) -> None:
        """Wait until a document may have come into the queue, or for so long."""
        ...

    def now(self) -> int: ...
