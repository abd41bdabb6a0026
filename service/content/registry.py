"""The kinds of content that the service reads: a line for each."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from service.content.base import Extractor, UnreadableContentError
from service.core.model import ContentKind

# By name, so that parsers are loaded only by processes that read content.
EXTRACTORS: Final[dict[int, str]] = {
    ContentKind.TEXT: "service.content.text:Text",
    ContentKind.MARKDOWN: "service.content.markdown:Markdown",
    ContentKind.HTML: "service.content.html:Html",
    ContentKind.CONVERSATION: "service.content.conversation:Conversation",
}


def extractor_for(number: int) -> Extractor:
    """The extractor for content of this ContentKind.

    Raises:
        UnreadableContentError: There is none: a newer release wrote the document.
    """
    if number not in EXTRACTORS:
        raise UnreadableContentError(
            f"content of kind {number} cannot be read by this release; update the server"
        )
    return _instance(EXTRACTORS[number])


@cache
def _instance(place: str) -> Extractor:
    module, _, name = place.partition(":")
    kind: Extractor = getattr(import_module(module), name)()
    return kind
