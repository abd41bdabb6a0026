"""Conversations as they are stored: canonical JSON, a list of messages.

    [{"speaker":"Ann","text":"Look!","time":1700000000000000,"image":"a lake"}, ...]

What is empty is left out, so that equal conversations are equal texts, and a
conversation that was appended to begins with what it was, less the last bracket.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from service.core.errors import Violation, invalid
from service.core.times import EARLIEST, LATEST

MAX_BYTES: Final = 1_048_576
"""Of the stored form, as of any content."""

_TEXTS: Final = ("speaker", "text", "image")


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `instant` in microseconds, None when its time is not known."""

    speaker: str
    text: str
    instant: int | None = None
    image_caption: str = ""

    @property
    def said(self) -> str:
        """The text, and of a picture its caption: "Look! [image: a lake]"."""
        caption = self.image_caption.strip()
        return f"{self.text.strip()} [image: {caption}]".lstrip() if caption else self.text.strip()


def encode(messages: Iterable[Message]) -> str:
    """The stored form.

    Raises:
        PalimpsestError: INVALID_REQUEST, when it has more than MAX_BYTES.
    """
    plain = [_plain(message) for message in messages]
    content = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    size = len(content.encode())
    if size > MAX_BYTES:
        rule = (
            f"the conversation would have {size:,} bytes, and at most {MAX_BYTES:,} are allowed; "
            "go on in a new document"
        )
        raise invalid([Violation("messages", rule)])
    return content


def decode(content: str) -> tuple[Message, ...]:
    """The messages of a stored form, canonical or not.

    Raises:
        ValueError: It is not one; the message says why, without quoting it.
    """
    try:
        content.encode()
        items = json.loads(content)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(items, list):
        raise ValueError("it is not a list of messages")
    return tuple(_message(place, item) for place, item in enumerate(items))


def _plain(message: Message) -> dict[str, str | int]:
    values = {
        "speaker": message.speaker,
        "text": message.text,
        "time": message.instant,
        "image": message.image_caption,
    }
    return {key: value for key, value in values.items() if value is not None and value != ""}


def _message(place: int, item: Any) -> Message:
    if not isinstance(item, dict) or not item.keys() <= {*_TEXTS, "time"}:
        raise ValueError(f"message {place} is not an object of speaker, text, time and image")
    texts = [item.get(key, "") for key in _TEXTS]
    if not all(isinstance(text, str) and _is_unicode(text) for text in texts):
        raise ValueError(f"message {place} has a speaker, text or image that is not a text")
    instant = item.get("time")
    if instant is not None and (type(instant) is not int or not EARLIEST <= instant <= LATEST):
        raise ValueError(f"message {place} has a time that is not in microseconds")
    speaker, text, image = texts
    return Message(speaker, text, instant, image)


def _is_unicode(text: str) -> bool:
    """Whether it has an encoding: JSON can spell halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
