"""/v4/conversations: messages of a chat, given as a whole each time."""

from __future__ import annotations

from typing import Any, Final

from palimpsest.v1 import documents_pb2 as pb
from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory import values
from service.http.supermemory.answers import answer
from service.http.supermemory.bodies import Fields, read_body
from service.http.supermemory.errors import call
from service.http.supermemory.fields import read_tags

_MAX_MESSAGES: Final = 10_000
_MAX_PARTS: Final = 1_000
_ROLES: Final = ("user", "assistant", "system", "tool")


async def _put(calls: Calls, request: HttpRequest) -> HttpAnswer:
    fields = await read_body(request)
    message = pb.UpsertDocumentRequest(
        custom_id=fields.needed("conversationId"),
        request_id=request.request_id,
        etag=request.etag,
    )
    tags, tag_names = read_tags(fields, empty=True)
    names = {**tag_names, "custom_id": "conversationId"}
    message.container_tags.extend(tags)
    if fields.has("metadata"):
        values.read_metadata(fields, "metadata", fields.anything("metadata"), message.metadata)
    kept = message.conversation.messages
    for index, inside in enumerate(fields.objects("messages", _MAX_MESSAGES)):
        said = _read_message(inside)
        if said.text:
            path = f"conversation.messages[{len(kept)}]"
            names[f"{path}.text"] = f"messages[{index}].content"
            names[f"{path}.speaker"] = f"messages[{index}].name"
            kept.append(said)
    if not kept and not fields.violations:
        fields.refuse("messages", "must have one with text")
    fields.check()
    conversation_id = message.custom_id
    response = await call(calls, "Documents.UpsertDocument", message, names)
    receipt = response.receipt
    return answer(
        {
            "id": receipt.id,
            "conversationId": conversation_id,
            "status": values.status(receipt.status),
        },
        etag=receipt.etag,
    )


def _read_message(fields: Fields) -> pb.ConversationMessage:
    """A message; that of a tool call or of a picture may have no text."""
    role = fields.choice("role", *_ROLES, required=True)
    said = pb.ConversationMessage(speaker=fields.text("name") or role or "")
    fields.anything("tool_calls")
    fields.text("tool_call_id")
    if not fields.is_null("content"):
        said.text = _read_content(fields)
    fields.refuse_unknown()
    return said


def _read_content(fields: Fields) -> str:
    given = fields.anything("content")
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        if fields.has("content"):
            fields.refuse("content", "must be a string or a list of parts")
        return ""
    texts: list[str] = []
    for index, part in enumerate(given[:_MAX_PARTS]):
        if isinstance(part, dict):
            texts.append(_read_part(fields.inside(part, f"content[{index}]")))
        else:
            fields.refuse(f"content[{index}]", "must be an object")
    if len(given) > _MAX_PARTS:
        fields.refuse("content", f"must have at most {_MAX_PARTS:,} parts")
    return "\n".join(filter(None, texts))


def _read_part(fields: Fields) -> str:
    kind = fields.choice("type", "text", "image_url", required=True)
    picture: Any = fields.anything("image_url")
    if picture is not None and not isinstance(picture, dict):
        fields.refuse("image_url", "must be an object")
    text = fields.needed("text") if kind == "text" else fields.text("text")
    fields.refuse_unknown()
    return text or ""


ENDPOINTS: Final = (Endpoint("POST", "/v4/conversations", _put, writes=True),)
