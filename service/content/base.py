"""What every kind of content is turned into: a text, its blocks, and its chunks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol


class UnreadableContentError(ValueError):
    """Content that its extractor cannot read; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a text that reads as one: a heading, a paragraph, a table, a message.

    `start` and `end` are offsets in code points; neither the first nor the last
    character is white space.
    """

    start: int
    end: int
    level: int = 0
    """Of a heading, from 1; 0 is no heading."""
    lines: bool = False
    """Made of lines, as code and tables are: cut between lines, not sentences."""
    speaker: str = ""
    instant: int | None = None
    offset: int | None = None
    message: int | None = None
    """A message's place in its conversation, from 0."""


@dataclass(frozen=True, slots=True)
class Extract:
    """The text of a content, and its blocks in order, which do not overlap."""

    text: str
    blocks: tuple[Block, ...]

    def titled(self, title: str) -> Extract:
        """The same with this as its first heading; as it is with an empty one."""
        if not title:
            return self
        before = f"{title}\n\n" if self.blocks else title
        blocks = (
            replace(block, start=block.start + len(before), end=block.end + len(before))
            for block in self.blocks
        )
        return Extract(before + self.text, (Block(0, len(title), 1), *blocks))


@dataclass(frozen=True, slots=True)
class TextChunk:
    """One searchable chunk: `text` is the extracted text from `start` to `end`.

    Offsets are in code points.
    """

    text: str
    start: int
    end: int
    heading: str = ""
    """Of its section and of the enclosing ones, outermost first, with " > " between them."""
    speaker: str = ""
    instant: int | None = None
    """Of a message: its time, in microseconds."""
    offset: int | None = None
    """Of a message: minutes east of UTC of where it was said."""
    message: int | None = None
    """Of a message: its place in the conversation, from 0."""


class FileExtractor(Protocol):
    """Reads the text out of one kind of file, with a library that a file may mislead.

    The caller bounds the time and the memory of it. The registry has a line for each.
    """

    def extract(self, content: bytes) -> Extract:
        """Reads the text out of `content`; UnreadableContentError if it cannot."""
        ...


class Extractor(Protocol):
    """Reads the text out of one kind of content. The registry has a line for each."""

    def extract(self, content: str) -> Extract:
        """Reads the text out of `content`; UnreadableContentError if it cannot.

        The work grows with the length of the content, whatever is in it.
        """
        ...
