"""Plain text: paragraphs with blank lines between them."""

from __future__ import annotations

import re
from typing import Final

from service.content.base import Block, Extract

_BLANK_LINE: Final = re.compile(r"\n[^\S\n]*\n\s*")


class Text:
    """The extracted text is the content itself."""

    def extract(self, content: str) -> Extract:
        blocks: list[Block] = []
        start = len(content) - len(content.removeprefix("\ufeff"))
        for gap in _BLANK_LINE.finditer(content):
            _add(blocks, content, start, gap.start())
            start = gap.end()
        _add(blocks, content, start, len(content))
        return Extract(content, tuple(blocks))


def _add(blocks: list[Block], content: str, start: int, end: int) -> None:
    paragraph = content[start:end]
    body = paragraph.lstrip()
    start += len(paragraph) - len(body)
    body = body.rstrip()
    if body:
        blocks.append(Block(start, start + len(body)))
