"""The kinds of content that the service reads: a line for each."""

from __future__ import annotations

from typing import Final

from service.content.base import Kind, UnreadableContentError
from service.content.conversation import Conversation
from service.content.html import Html
from service.content.markdown import Markdown
from service.content.text import Text
from service.core.model import ContentKind

KINDS: Final[dict[int, Kind]] = {
    ContentKind.TEXT: Text(),
    ContentKind.MARKDOWN: Markdown(),
    ContentKind.HTML: Html(),
    ContentKind.CONVERSATION: Conversation(),
}


def kind_of(number: int) -> Kind:
    """What reads content of this ContentKind.

    Raises:
        UnreadableContentError: Nothing does: a newer release wrote the document.
    """
    kind = KINDS.get(number)
    if kind is None:
        raise UnreadableContentError(
            f"content of kind {number} cannot be read by this release; update the server"
        )
    return kind
