"""Writes an extract block by block."""

from __future__ import annotations

from service.content.base import Block, Extract


class Writer:
    """Collects blocks, with a blank line between them."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._length = 0

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

    def append(self, extract: Extract) -> None:
        """Appends the blocks of another extract."""
        for block in extract.blocks:
            self.add(extract.text[block.start : block.end], level=block.level, lines=block.lines)

    def extract(self) -> Extract:
        """All that was added."""
        return Extract("".join(self._parts), tuple(self._blocks))

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
