"""Values of the contract's messages in JSON of Supermemory's API, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from palimpsest.v1.documents_pb2 import ContentKind, Conversation, Document, DocumentStatus
from service.core import metadata as rules
from service.core.times import SECOND, rfc3339
from service.http.supermemory.bodies import Fields

_TYPES: Final[Mapping[int, str]] = {
    ContentKind.CONTENT_KIND_PDF: "pdf",
    ContentKind.CONTENT_KIND_HTML: "webpage",
}


def moment(stamp: Timestamp) -> str:
    """As JavaScript writes it, to the millisecond: "2026-05-08T12:00:00.000Z"."""
    return rfc3339(stamp.seconds * SECOND + stamp.nanos // 1000, "milliseconds")


def metadata(struct: Struct) -> dict[str, Any] | None:
    """None: there is none."""
    if not struct.fields:
        return None
    found: dict[str, Any] = {}
    for key, value in struct.fields.items():
        match value.WhichOneof("kind"):
            case "number_value":
                number = value.number_value
                found[key] = int(number) if number.is_integer() else number
            case "list_value":
                found[key] = [item.string_value for item in value.list_value.values]
            case "bool_value":
                found[key] = value.bool_value
            case _:
                found[key] = value.string_value
    return found


def read_metadata(fields: Fields, name: str, given: object, struct: Struct) -> None:
    """Write metadata into a message, if it is an object of scalars and lists of strings."""
    if not isinstance(given, dict):
        fields.refuse(name, "must be an object")
        return
    broken = rules.violations(given, name, 0)
    for violation in broken:
        fields.refuse(violation.field, violation.rule)
    if broken:
        return
    struct.SetInParent()
    for key, value in given.items():
        member = struct.fields[key]
        match value:
            case None:
                member.null_value = 0  # type: ignore[assignment]
            case bool():
                member.bool_value = value
            case str():
                member.string_value = value
            case list():
                member.list_value.SetInParent()
                for item in value:
                    member.list_value.values.add(string_value=item)
            case _:
                member.number_value = value


def status(number: int) -> str:
    """In lower case and without a prefix: "queued"."""
    return DocumentStatus.Name(number).removeprefix("DOCUMENT_STATUS_").lower()  # type: ignore[arg-type]


def kind(number: int) -> str:
    """The type of a document: what Supermemory's API has no name for is "text"."""
    return _TYPES.get(number, "text")


def text(document: Document) -> str | None:
    """The content as text; None: of a file, or left out."""
    if document.HasField("conversation"):
        return spoken(document.conversation)
    return document.content or None


def spoken(conversation: Conversation) -> str:
    """A line or more for each message."""
    lines = []
    for message in conversation.messages:
        said = " ".join(filter(None, (message.text, message.image_caption)))
        lines.append(f"{message.speaker}: {said}" if message.speaker else said)
    return "\n".join(lines)
