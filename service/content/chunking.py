"""Divides a text into chunks that fit an embedder, by its structure.

A chunk never spans two sections: a heading begins one, unless only headings
stand before it. Within a section the blocks are joined up to the size; a block is
cut only when it is longer than a chunk, and then between sentences (code and
tables: lines), failing that between lines, then words; only a word longer than a
chunk is cut itself.

Cuts are local. Of the places where a chunk may end, between half the size and the
whole of it, the one is taken whose next 32 characters have the smallest checksum,
not the last one that fits. Two texts that differ in one place therefore agree on
the cuts before it and, since both prefer the same places, soon after it again:
mostly one or two chunks change, where filling every chunk completely would move
all cuts down to the section's end. (Content-defined chunking, as rsync-like tools
cut files: Muthitacharoen et al., "A Low-bandwidth Network File System", SOSP 2001.)
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from service.content.base import Block, Extract, TextChunk

CHUNK_SIZE: Final = 950
"""Characters of a chunk at most: some 200 to 250 tokens of English prose, which is
what small sentence embedders are trained to take."""

_SEPARATOR: Final = " > "
_HEADING_LENGTH: Final = 120
_FINGERPRINT: Final = 32

_INK: Final = re.compile(r"\S")
# The text before a place where a cut may be made. None looks further than to the next
# character that is not white space, so that the search stays linear.
_SENTENCES: Final = re.compile(
    r"""[.!?…]["'”’»)\]]{0,3}\s+(?=[^\sa-z])|[。！？][」』”’）]{0,3}\s*(?=\S)"""
)
_LINES: Final = re.compile(r"\n(?=[^\n])")
_WORDS: Final = re.compile(r"\s(?=\S)")

_PROSE: Final = (_SENTENCES, _LINES, _WORDS)
_LINED: Final = (_LINES, _WORDS)


def chunk(extract: Extract, size: int = CHUNK_SIZE) -> list[TextChunk]:
    """The chunks of a text, in order; every message of a conversation is one.

    Together they hold all characters of the blocks but white space, each once.

    Args:
        extract: The text and its blocks.
        size: Characters a chunk may have, at least 2; messages may have more.
    """
    chunks: list[TextChunk] = []
    for section in _sections(extract):
        if section.message is not None:
            chunks.append(_message(extract.text, section.message))
        else:
            _chunk_section(extract.text, section, size, chunks)
    return chunks


@dataclass(slots=True)
class _Section:
    heading: str
    blocks: list[Block]
    message: Block | None = None
    starts: list[int] = field(default_factory=list)
    """Where it may be cut between blocks: not between a heading and the block after it."""


def _sections(extract: Extract) -> Iterator[_Section]:
    path: list[tuple[int, str]] = []
    section = _Section("", [])
    for block in extract.blocks:
        if block.message is not None:
            yield _Section("", [], block)
            continue
        before = section.blocks[-1] if section.blocks else None
        if block.level:
            if before is not None and not before.level:
                yield section
                section = _Section("", [])
                before = None
            while path and path[-1][0] >= block.level:
                path.pop()
            path.append((block.level, _shortened(extract.text[block.start : block.end])))
            section.heading = _SEPARATOR.join(title for _, title in path)
        if before is None or not before.level:
            section.starts.append(block.start)
        section.blocks.append(block)
    if section.blocks:
        yield section


def _shortened(title: str) -> str:
    title = " ".join(title[: 2 * _HEADING_LENGTH].split())
    if len(title) <= _HEADING_LENGTH:
        return title
    return title[:_HEADING_LENGTH].rpartition(" ")[0] or title[:_HEADING_LENGTH]


def _message(text: str, block: Block) -> TextChunk:
    return TextChunk(
        text[block.start : block.end],
        block.start,
        block.end,
        speaker=block.speaker,
        instant=block.instant,
        offset=block.offset,
        message=block.message,
    )


def _chunk_section(text: str, section: _Section, size: int, chunks: list[TextChunk]) -> None:
    begin = section.blocks[0].start
    last = section.blocks[-1].end
    while last - begin > size:
        place = _chunk_end(text, section, begin, last, size)
        body = text[begin:place].rstrip()
        chunks.append(TextChunk(body, begin, begin + len(body), section.heading))
        ink = _INK.search(text, place)
        # A section ends with a character, so there is one.
        begin = last if ink is None else ink.start()
    chunks.append(TextChunk(text[begin:last], begin, last, section.heading))


def _chunk_end(text: str, section: _Section, begin: int, last: int, size: int) -> int:
    """Where the chunk from `begin` ends."""
    limit = begin + 2 * size
    starts = section.starts
    between = starts[bisect_right(starts, begin) : bisect_right(starts, limit)]
    place = _best(text, between, begin, last, size)
    if place is not None:
        return place
    # No cut between blocks serves, so that one block fills the middle.
    middle = bisect_right(section.blocks, begin + size // 2, key=lambda block: block.start)
    patterns = _LINED if section.blocks[middle - 1].lines else _PROSE
    for pattern in patterns:
        inside = [found.end() for found in pattern.finditer(text, begin, min(last, limit) + 1)]
        place = _best(text, inside, begin, last, size)
        if place is not None:
            return place
    return begin + size


def _best(text: str, places: Sequence[int], begin: int, last: int, size: int) -> int | None:
    """The place to cut at; None if the text there is too long to be kept whole."""
    low, high = begin + size // 2, begin + size
    good = [place for place in places if low <= place <= high]
    if good:
        return min(good, key=lambda place: (_checksum(text, place), -place))
    early = [place for place in places if begin < place < low]
    if not early:
        return None
    following = next((place for place in places if place > high), last)
    # Its length is that without the white space that follows it.
    return early[-1] if len(text[early[-1] : following].rstrip()) <= size else None


def _checksum(text: str, place: int) -> int:
    return crc32(text[place : place + _FINGERPRINT].encode())
