"""From a document's content to its chunks, keeping those that stay as they were.

All of it is one visit to those who compute: what is sent there and back costs as much as
cutting does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from service.content.base import Extract, Piece, UnreadableContentError
from service.content.cutting import cut
from service.content.registry import kind_of
from service.core import ids
from service.core.digests import Digester
from service.core.documents import indexed_heading
from service.core.model import ContentKind
from service.embedding.base import EmbedderError
from service.pipeline.encoder import IndexEncoder, Passage
from service.ports.indexing import IndexEntry
from service.ports.processing import ChunkRow, Work


@dataclass(slots=True)
class Draft:
    """What becomes of a document: the chunks that differ from those that are there."""

    changed: list[ChunkRow]
    missing: list[tuple[int, Passage]]
    """Places in `changed` of chunks without a vector of the current space."""
    count: int
    """How many chunks the document has from now on."""

    def fill(self, vectors: Iterator[bytes], space: int) -> None:
        """Give what is missing the next of these vectors."""
        for place, _ in self.missing:
            row = self.changed[place]
            row.index = IndexEntry(row.index.entry, next(vectors), space)
        self.missing = []


MOST_EMBEDDED = 96
"""Chunks that get their vectors where they are cut. More are embedded in slices of their
own, so that others have their turn between."""


def draft(
    encoder: IndexEncoder, works: Sequence[Work], now: int
) -> list[Draft | UnreadableContentError]:
    """Read the text out of each document, cut it, and embed it if that is little work.

    Args:
        encoder: Makes the entries, and the vectors if it can.
        works: Documents.
        now: The time, in microseconds, of which ids of new chunks tell.

    Returns:
        For each document its draft, or why there is none.
    """
    cuts: list[_Cut | UnreadableContentError] = []
    for work in works:
        try:
            text = kind_of(work.kind).extract(work.content)
        except UnreadableContentError as error:
            cuts.append(error)
        else:
            cuts.append(_cut(encoder, work, text, now))
    made = [one for one in cuts if isinstance(one, _Cut)]
    entries = iter(encoder.entries([passage for one in made for passage in one.unknown]))
    drafts = [one.draft(entries, encoder.space) if isinstance(one, _Cut) else one for one in cuts]
    if encoder.embeds:
        _embed(encoder, [one for one in drafts if isinstance(one, Draft)])
    return drafts


def _embed(encoder: IndexEncoder, drafts: Sequence[Draft]) -> None:
    wanted = [passage for draft in drafts for _, passage in draft.missing]
    if 0 < len(wanted) <= MOST_EMBEDDED:
        # Whoever embeds what is missing learns why it cannot be done.
        with contextlib.suppress(EmbedderError):
            vectors = iter(encoder.vectors(wanted))
            for draft in drafts:
                draft.fill(vectors, encoder.space)


@dataclass(slots=True)
class _Cut:
    """A document's chunks, before the entries of those that are new are known."""

    before: Sequence[ChunkRow]
    rows: list[ChunkRow]
    passages: list[Passage]
    places: list[int]
    """Places in `rows` of those whose entry is to be made."""
    lacking: set[int]
    """Places in `rows` of those that need a vector."""

    @property
    def unknown(self) -> Iterator[Passage]:
        return map(self.passages.__getitem__, self.places)

    def draft(self, entries: Iterator[bytes], space: int) -> Draft:
        """Take the entries of what is unknown, which are next."""
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
        return Draft([rows[place] for place in changed], missing, len(rows))


def _cut(encoder: IndexEncoder, work: Work, text: Extract, now: int) -> _Cut:
    """Cut a text into chunks, and find again those whose text has not changed.

    A chunk keeps its id as long as its text and place in the structure stay, and
    its vector as long as what is embedded stays.
    """
    known: dict[tuple[str, str, str, int | None], list[ChunkRow]] = {}
    for row in reversed(work.chunks):
        known.setdefault((row.text, row.heading, row.speaker, row.instant), []).append(row)
    conversation = work.kind is ContentKind.CONVERSATION
    done = _Cut(work.chunks, [], [], [], set())
    for position, piece in enumerate(cut(text)):
        instant = _instant(work, piece, conversation=conversation)
        heading = indexed_heading(work.kind, work.title, piece.heading)
        twins = known.get((piece.text, piece.heading, piece.speaker, instant))
        twin = twins.pop() if twins else None
        done.rows.append(_row(piece, position, instant, twin, encoder.digester, now))
        done.passages.append(Passage(piece.text, heading, piece.speaker, instant))
        # Of a message nothing but itself is indexed; of a section also the title.
        if twin is None or not conversation:
            done.places.append(position)
        elif twin.index.embedder != encoder.space:
            done.lacking.add(position)
    return done


def _row(
    piece: Piece,
    position: int,
    instant: int | None,
    twin: ChunkRow | None,
    digester: Digester,
    now: int,
) -> ChunkRow:
    if twin is not None:
        return replace(twin, position=position, start=piece.start, end=piece.end)
    return ChunkRow(
        ids.new_id(ids.CHUNK, now, position & ids.MAX_COUNTER),
        position,
        piece.text,
        piece.start,
        piece.end,
        piece.heading,
        piece.speaker,
        instant,
        digester.content(piece.text),
        IndexEntry(b""),
    )


def _instant(work: Work, piece: Piece, *, conversation: bool) -> int | None:
    """When it was said: a message without a time has that of its conversation."""
    if piece.instant is None and conversation:
        return work.document_date
    return piece.instant
