"""The kinds of content that the service reads: a line for each."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from service.content.base import Kind, UnreadableContentError
from service.core.model import ContentKind

# Where their classes are, so that parsers are loaded by those alone who read content.
KINDS: Final[dict[int, str]] = {
    ContentKind.TEXT: "service.content.text:Text",
    ContentKind.MARKDOWN: "service.content.markdown:Markdown",
    ContentKind.HTML: "service.content.html:Html",
    ContentKind.CONVERSATION: "service.content.conversation:Conversation",
}


def kind_of(number: int) -> Kind:
    """What reads content of this ContentKind.

    Raises:
        UnreadableContentError: Nothing does: a newer release wrote the document.
    """
    if number not in KINDS:
        raise UnreadableContentError(
            f"content of kind {number} cannot be read by this release; update the server"
        )
    return _made(KINDS[number])


@cache
def _made(place: str) -> Kind:
    module, _, name = place.partition(":")
    kind: Kind = getattr(import_module(module), name)()
    return kind
