"""From a document's content to its chunks, keeping those that stay as they were."""

from __future__ import annotations

from dataclasses import dataclass, replace

from service.content.base import Extract, Piece
from service.content.cutting import cut
from service.content.registry import kind_of
from service.core import ids
from service.core.digests import Digester
from service.core.indexing import IndexEntry
from service.core.model import ContentKind
from service.core.processing import ChunkRow, Processed, Work, indexed_heading
from service.pipeline.indexing import Indexing, Passage


@dataclass(slots=True)
class Draft:
    """A document on its way: its chunks, and those of them that need vectors."""

    work: Work
    rows: list[ChunkRow]
    missing: list[tuple[int, Passage]]
    """Places in `rows` of chunks without a vector of the current space."""

    def processed(self) -> Processed:
        """What is to be written: the chunks that differ from those that are there."""
        before = self.work.chunks
        changed = [
            row
            for place, row in enumerate(self.rows)
            if place >= len(before) or row != before[place]
        ]
        return Processed(self.work.job, changed, len(self.rows))


def extract(work: Work) -> Extract:
    """The text of a document; raises UnreadableContentError."""
    return kind_of(work.kind).extract(work.content)


def draft(work: Work, text: Extract, indexing: Indexing, digester: Digester, now: int) -> Draft:
    """Cut a text into chunks, and find again those whose text has not changed.

    A chunk keeps its id as long as its text and place in the structure stay, and
    its vector as long as what is embedded stays.
    """
    known: dict[tuple[str, str, str, int | None], list[ChunkRow]] = {}
    for row in reversed(work.chunks):
        known.setdefault((row.text, row.heading, row.speaker, row.instant), []).append(row)
    conversation = work.kind is ContentKind.CONVERSATION
    rows: list[ChunkRow] = []
    missing: list[tuple[int, Passage]] = []
    unknown: list[int] = []
    passages: list[Passage] = []
    for position, piece in enumerate(cut(text)):
        instant = _instant(work, piece, conversation=conversation)
        passage = Passage(
            piece.text,
            indexed_heading(work.kind, work.title, piece.heading),
            piece.speaker,
            instant,
        )
        twins = known.get((piece.text, piece.heading, piece.speaker, instant))
        twin = twins.pop() if twins else None
        rows.append(_row(piece, position, instant, twin, digester, now))
        passages.append(passage)
        # Of a message nothing but itself is indexed; of a section also the title.
        if twin is None or not conversation:
            unknown.append(position)
        elif twin.index.embedder != indexing.space:
            missing.append((position, passage))
    entries = indexing.entries([passages[position] for position in unknown])
    for position, entry in zip(unknown, entries, strict=True):
        index = rows[position].index
        if index.entry != entry or index.embedder != indexing.space:
            rows[position].index = IndexEntry(entry)
            missing.append((position, passages[position]))
    return Draft(work, rows, missing)


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
