"""From a document's content to its chunks, keeping those that are unchanged.

All of it is one call of a compute worker: sending texts and results costs as much as
chunking does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from service.content.base import Extract, TextChunk, UnreadableContentError
from service.content.chunking import chunk
from service.core import ids
from service.core.digests import Digester
from service.core.documents import indexed_heading
from service.core.model import ContentKind
from service.embedding.base import EmbedderError
from service.pipeline.encoder import IndexEncoder, Passage
from service.pipeline.extracting import FilesNotReadError, extract
from service.ports.indexing import IndexEntry
from service.ports.processing import ChunkRow, Work


@dataclass(slots=True)
class ChunkingResult:
    """The chunks of a document that differ from the stored ones."""

    changed: list[ChunkRow]
    missing: list[tuple[int, Passage]]
    """Places in `changed` of chunks without a vector of the current space."""
    count: int
    """How many chunks the document has now."""

    def add_vectors(self, vectors: Iterator[bytes], space: int) -> None:
        """Give each chunk without a vector the next of these."""
        for place, _ in self.missing:
            row = self.changed[place]
            row.index = IndexEntry(row.index.entry, next(vectors), space)
        self.missing = []


MAX_EMBEDDED = 96
"""Up to so many chunks get their vectors in the same call. More are embedded in slices of
their own, between which other work has its turn."""


def chunk_documents(
    encoder: IndexEncoder, works: Sequence[Work], now: int
) -> list[ChunkingResult | UnreadableContentError | FilesNotReadError]:
    """Extract the text of each document, chunk it, and embed it if that is little work.

    Args:
        encoder: Makes the entries, and the vectors if it can.
        works: Documents.
        now: The time in microseconds, which becomes part of the ids of new chunks.

    Returns:
        For each document its result, or why there is none.
    """
    chunked: list[_Chunked | UnreadableContentError | FilesNotReadError] = []
    for work in works:
        try:
            text = extract(work.kind, work.content)
        except (FilesNotReadError, UnreadableContentError) as error:
            chunked.append(error)
        else:
            chunked.append(_chunk(encoder, work, text, now))
    readable = [one for one in chunked if isinstance(one, _Chunked)]
    entries = iter(encoder.entries([passage for one in readable for passage in one.unknown]))
    results = [
        one.result(entries, encoder.space) if isinstance(one, _Chunked) else one for one in chunked
    ]
    if encoder.embeds:
        _embed(encoder, [one for one in results if isinstance(one, ChunkingResult)])
    return results


def _embed(encoder: IndexEncoder, results: Sequence[ChunkingResult]) -> None:
    wanted = [passage for result in results for _, passage in result.missing]
    if 0 < len(wanted) <= MAX_EMBEDDED:
        # If that fails, so does embedding what is missing, which reports why.
        with contextlib.suppress(EmbedderError):
            vectors = iter(encoder.vectors(wanted))
            for result in results:
                result.add_vectors(vectors, encoder.space)


@dataclass(slots=True)
class _Chunked:
    """A document's chunks, before the entries of new ones are computed."""

    before: Sequence[ChunkRow]
    rows: list[ChunkRow]
    passages: list[Passage]
    places: list[int]
    """Places in `rows` of those whose entry is to be computed."""
    lacking: set[int]
    """Places in `rows` of those that need a vector."""

    @property
    def unknown(self) -> Iterator[Passage]:
        return map(self.passages.__getitem__, self.places)

    def result(self, entries: Iterator[bytes], space: int) -> ChunkingResult:
        """Take the entries of `unknown`, which are the next ones."""
        rows, before, lacking = self.rows, self.before, self.lacking
        for place in self.places:
            entry, index = next(entries), rows[place].index
            if index.entry != entry or index.embedder != space:
                rows[place].index = IndexEntry(entry)
                lacking.add(place)
        changed = [
            place
            for place, row in enumerate(rows)
            if place in lacking or place >= len(before) or row != before[place]
        ]
        missing = [
            (number, self.passages[place])
            for number, place in enumerate(changed)
            if place in lacking
        ]
        return ChunkingResult([rows[place] for place in changed], missing, len(rows))


def _chunk(encoder: IndexEncoder, work: Work, text: Extract, now: int) -> _Chunked:
    """Divide a text into chunks, and match those whose text has not changed.

    A chunk keeps its id as long as its text and place in the structure stay, and
    its vector as long as what is embedded stays.
    """
    known: dict[tuple[object, ...], list[ChunkRow]] = {}
    for row in reversed(work.chunks):
        about = (row.text, row.heading, row.speaker, row.instant, row.offset)
        known.setdefault(about, []).append(row)
    conversation = work.kind is ContentKind.CONVERSATION
    done = _Chunked(work.chunks, [], [], [], set())
    for position, found in enumerate(chunk(text)):
        instant, offset = _date(work, found, conversation=conversation)
        heading = indexed_heading(work.kind, work.title, found.heading)
        twins = known.get((found.text, found.heading, found.speaker, instant, offset))
        twin = twins.pop() if twins else None
        done.rows.append(_row(found, position, instant, twin, encoder.digester, now))
        done.passages.append(Passage(found.text, heading, found.speaker, instant, offset))
        # A message is indexed by itself; a section together with the document's title.
        if twin is None or not conversation:
            done.places.append(position)
        elif twin.index.embedder != encoder.space:
            done.lacking.add(position)
    return done


def _row(
    found: TextChunk,
    position: int,
    instant: int | None,
    twin: ChunkRow | None,
    digester: Digester,
    now: int,
) -> ChunkRow:
    if twin is not None:
        return replace(twin, position=position, start=found.start, end=found.end)
    return ChunkRow(
        ids.new_id(ids.CHUNK, now, position & ids.MAX_COUNTER),
        position,
        found.text,
        found.start,
        found.end,
        found.heading,
        found.speaker,
        instant,
        digester.content(found.text),
        IndexEntry(b""),
        found.offset,
    )


def _date(work: Work, found: TextChunk, *, conversation: bool) -> tuple[int | None, int | None]:
    """The time and UTC offset of a message; without one of its own, its conversation's."""
    if found.instant is None and conversation:
        return work.document_date, None
    return found.instant, found.offset
