"""Writes an extract block by block."""

from __future__ import annotations

from typing import NamedTuple

from service.content.base import Block, Extract


class Mark(NamedTuple):
    """What a writer had written at some moment."""

    parts: int
    blocks: int
    length: int
    headings: int


class Writer:
    """Collects blocks, with a blank line between them."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._length = 0
        self._headings = 0

    def add(self, text: str, *, level: int = 0, lines: bool = False, tight: bool = False) -> None:
        """Appends a block; one without characters is left out.

        Args:
            text: The block; white space around it is dropped.
            level: See Block.
            lines: See Block.
            tight: Only a line break parts it from the block before.
        """
        text = text.strip()
        if not text:
            return
        if self._parts:
            self._write("\n" if tight else "\n\n")
        start = self._length
        self._write(text)
        self._blocks.append(Block(start, self._length, level, lines))
        self._headings += level > 0

    def append(self, extract: Extract) -> None:
        """Appends the blocks of another extract."""
        for block in extract.blocks:
            self.add(extract.text[block.start : block.end], level=block.level, lines=block.lines)

    @property
    def last(self) -> str:
        """The last block; empty when there is none."""
        return self._parts[-1] if self._parts else ""

    def mark(self) -> Mark:
        """What is written now, for `rollback`."""
        return Mark(len(self._parts), len(self._blocks), self._length, self._headings)

    def has_heading(self, mark: Mark) -> bool:
        """Whether a heading was added since."""
        return self._headings > mark.headings

    def rollback(self, mark: Mark) -> None:
        """Take back what was added since."""
        del self._parts[mark.parts :]
        del self._blocks[mark.blocks :]
        self._length = mark.length
        self._headings = mark.headings

    def drop_last(self) -> None:
        """Take back the last block, and what parts it from the one before."""
        last = self._blocks.pop()
        del self._parts[max(0, len(self._parts) - 2) :]
        self._length = self._blocks[-1].end if self._blocks else 0
        self._headings -= last.level > 0

    def extract(self) -> Extract:
        """All that was added."""
        return Extract("".join(self._parts), tuple(self._blocks))

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
