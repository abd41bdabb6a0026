"""Conversations: each message is one chunk."""

from __future__ import annotations

from service.content.base import Block, Extract, UnreadableContentError
from service.core.conversations import Message, decode


class Conversation:
    """Reads the stored form of a conversation (`service.core.conversations`).

    The text is a line "Speaker: what is said [image: caption]" for each message; its
    block is what follows the speaker. A message without text has no block.
    """

    def extract(self, content: str) -> Extract:
        try:
            messages = decode(content)
        except (RecursionError, TypeError, ValueError) as error:
            raise UnreadableContentError(
                "the content is not a conversation; send its messages as messages, "
                "or the content with the kind that it is"
            ) from error
        parts: list[str] = []
        blocks: list[Block] = []
        length = 0
        for place, message in enumerate(messages):
            before = f"{message.speaker}: " if message.speaker else ""
            text = _text(message)
            start = length + len(before)
            if text:
                end = start + len(text)
                blocks.append(
                    Block(
                        start,
                        end,
                        speaker=message.speaker,
                        instant=message.instant,
                        offset=message.offset,
                        message=place,
                    )
                )
            parts.append(f"{before}{text}\n")
            length += len(before) + len(text) + 1
        return Extract("".join(parts), tuple(blocks))


def _text(message: Message) -> str:
    """The text, and of a picture its caption: "Look! [image: a lake]"."""
    text, caption = message.text.strip(), message.image_caption.strip()
    return f"{text} [image: {caption}]".lstrip() if caption else text
