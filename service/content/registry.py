"""The kinds of content that the service reads: a line for each."""

from __future__ import annotations

from typing import Final

from service.content.base import Kind, UnreadableContentError
from service.content.conversation import Conversation
from service.content.html import Html
from service.content.markdown import Markdown
from service.content.text import Text

KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Text(),
        Markdown(),
        Html(),
        Conversation(),
    )
}
"""By name, as in the contract's ContentKind without its prefix."""


def kind_of(name: str) -> Kind:
    """The kind of this name.

    Raises:
        UnreadableContentError: This release has none of the name: the document was
            written by a newer one.
    """
    kind = KINDS.get(name)
    if kind is None:
        raise UnreadableContentError(
            f"content of the kind {name} cannot be read by this release; update it"
        )
    return kind
