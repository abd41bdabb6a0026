"""The little Markdown that the texts of the OpenAPI document have, as HTML."""

from __future__ import annotations

import re
from html import escape
from typing import Final

_INLINE: Final = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")
_BULLET: Final = "- "
_INDENT: Final = "    "


def to_html(text: str) -> str:
    """Paragraphs, lists of one level, indented code, `code` and **bold** as HTML."""
    return "".join(_block(block) for block in re.split(r"\n\s*\n", text.strip("\n")) if block)


def _inline(text: str) -> str:
    """A text without paragraphs as HTML."""
    parts, end = [], 0
    for match in _INLINE.finditer(text):
        parts.append(escape(text[end : match.start()]))
        code, bold = match.groups()
        parts.append(f"<code>{escape(code)}</code>" if code else f"<b>{escape(bold)}</b>")
        end = match.end()
    return "".join([*parts, escape(text[end:])])


def _block(block: str) -> str:
    lines = block.splitlines()
    if all(line.startswith(_INDENT) for line in lines):
        code = "\n".join(line.removeprefix(_INDENT) for line in lines)
        return f"<pre>{escape(code)}</pre>"
    if lines[0].startswith(_BULLET):
        return f"<ul>{''.join(map(_item, re.split(r'^- ', block, flags=re.MULTILINE)[1:]))}</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _item(text: str) -> str:
    return f"<li>{_inline(' '.join(text.split()))}</li>"
