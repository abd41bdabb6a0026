"""Conversations: messages, and the text they are stored as."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

MAX_BYTES = 1_048_576
"""The limit of a conversation as it is stored; the same as of any content."""

MAX_MESSAGES = 10_000
"""The limit of a conversation, however it was written."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `instant` is in microseconds; None and "" mean unknown.

    `offset`: minutes east of UTC of where it was said.
    """

    speaker: str
    text: str
    instant: int | None = None
    image_caption: str = ""
    offset: int | None = None


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(messages: Iterable[Message]) -> str:
    """Compact JSON; equal conversations have equal text."""
    return _ENCODER.encode([_fields(message) for message in messages])


def _fields(message: Message) -> list[str | int | None]:
    fields = [message.speaker, message.text, message.instant, message.image_caption]
    # Left out where there is none: what was written before there were offsets stays equal.
    return fields if message.offset is None else [*fields, message.offset]


def decode(content: str) -> tuple[Message, ...]:
    """The messages that `encode` wrote."""
    return tuple(Message(*fields) for fields in json.loads(content))
