"""The contract's own paths, /v1, and the unary form of the Connect protocol, in ProtoJSON.

Sources: https://google.aip.dev/127 (transcoding), https://google.aip.dev/193 (errors),
https://connectrpc.com/docs/protocol .
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from service.core.errors import PalimpsestError, Violation, invalid
from service.http.endpoints import JSON, Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.errors import error_headers, http_status
from service.http.transcoding import (
    Written,
    dumps,
    fill,
    parse_json,
    query_to_json,
    set_parameter,
    to_json,
)
from service.rpc.errors import status_of
from service.rpc.servicers import Method
from service.rpc.to_thread import MANY_BYTES, to_thread_if
from service.runtime.call_stages import stage

_EVENTS: Final = "text/event-stream"

_REVISION: Final = re.compile(r"[0-9]{1,18}")

_VERBS: Final = ("get", "post", "patch", "put", "delete")


def endpoints(methods: Iterable[Method]) -> Iterator[Endpoint]:
    """Those of the contract's `google.api.http` annotations, and of Connect."""
    for method in methods:
        # The stubs type extensions of google.api as those of other messages.
        options: Any = method.descriptor.GetOptions()
        rule = options.Extensions[annotations_pb2.http]
        verb = next(verb for verb in _VERBS if getattr(rule, verb))
        path = getattr(rule, verb)
        yield _endpoint(method, verb.upper(), path, has_body=rule.body == "*")
        if not method.descriptor.server_streaming:
            yield _endpoint(method, "POST", method.path, has_body=True)


def _endpoint(method: Method, verb: str, path: str, *, has_body: bool) -> Endpoint:
    descriptor = method.descriptor
    name = f"{descriptor.containing_service.name}.{descriptor.name}"
    request_class = GetMessageClass(descriptor.input_type)

    def parse(request: HttpRequest) -> tuple[Message, Written]:
        if has_body:
            if request.query:
                raise invalid([Violation(next(iter(request.query)), "belongs into the body")])
            value = parse_json(request.body)
        else:
            # Left out, a precondition would be lost.
            if request.body.strip() not in (b"", b"{}"):
                raise invalid([Violation("", "fields belong into the query, not into a body")])
            value = query_to_json(descriptor.input_type, request.query)
        message = request_class()
        written = Written(value)
        if isinstance(value, dict):
            for parameter, text in request.parameters.items():
                set_parameter(value, descriptor.input_type, parameter, text)
        fill(message, value)
        _set_header(message, "request_id", request.request_id, "Idempotency-Key")
        _set_header(message, "etag", request.etag, "If-Match")
        if descriptor.server_streaming:
            _resume(message, request.headers.get("last-event-id", ""))
        return message, written

    async def handle(calls: Calls, request: HttpRequest) -> HttpAnswer:
        many = len(request.body) >= MANY_BYTES
        with stage("decode"):
            message, written = await to_thread_if(many, parse, request)
        try:
            response = await calls.call(name, message)
        except PalimpsestError as error:
            raise written.error(error) from None
        body = await to_thread_if(response.ByteSize() >= MANY_BYTES, to_json, response)
        return HttpAnswer(200, body, JSON, _etag_header(response))

    async def stream(calls: Calls, request: HttpRequest) -> HttpAnswer:
        message, written = parse(request)
        try:
            await calls.stream(name, message)
        except PalimpsestError as error:
            raise written.error(error) from None
        return HttpAnswer(200, content_type=_EVENTS)

    streams = descriptor.server_streaming
    handler = stream if streams else handle
    return Endpoint(verb, path, handler, method.access.writes, streams=streams)


def _set_header(message: Message, name: str, value: str, header: str) -> None:
    """Set a field that a header gives; ignored by methods that do not have it."""
    if not value or name not in message.DESCRIPTOR.fields_by_name:
        return
    if getattr(message, name) not in ("", value):
        raise invalid([Violation(name, f"is another one than that of {header}")])
    setattr(message, name, value)


def _resume(message: Any, last_event_id: str) -> None:
    """Continue a stream of changes after the event that the caller saw last.

    A browser connects again to the same URL: the header is newer than what the URL says.
    """
    if not last_event_id or "after_revision" not in message.DESCRIPTOR.fields_by_name:
        return
    if not _REVISION.fullmatch(last_event_id):
        raise invalid([Violation("Last-Event-ID", "must be the id of an event, a revision")])
    message.after_revision = int(last_event_id)


def _etag_header(response: Any) -> tuple[tuple[str, str], ...]:
    for name in ("document", "memory", "receipt"):
        field = response.DESCRIPTOR.fields_by_name.get(name)
        if field is not None and field.message_type is not None and response.HasField(name):
            etag = getattr(getattr(response, name), "etag", "")
            return (("etag", f'"{etag}"'),) if etag else ()
    return ()


def answer_of(error: PalimpsestError, call_id: str, *, if_match: bool = False) -> HttpAnswer:
    """An error in the form of Google's APIs: `{"error": {code, status, message, details}}`."""
    status = http_status(error, if_match=if_match)
    details = [json_format.MessageToDict(detail) for detail in status_of(error, call_id).details]
    body = {
        "error": {
            "code": status,
            "status": "NOT_FOUND" if status == 404 else error.code.name,
            "message": error.message,
            "details": details,
        }
    }
    return HttpAnswer(status, dumps(body), JSON, error_headers(error))


def connect_answer_of(error: PalimpsestError, call_id: str) -> HttpAnswer:
    """An error in the form of the Connect protocol."""
    details = [
        {
            "type": detail.type_url.rpartition("/")[2],
            "value": base64.b64encode(detail.value).decode().rstrip("="),
        }
        for detail in status_of(error, call_id).details
    ]
    body = {"code": error.code.name.lower(), "message": error.message, "details": details}
    return HttpAnswer(http_status(error), dumps(body), JSON, error_headers(error))


def event(message: Message) -> bytes:
    """A message of a stream as a server-sent event."""
    head = _EVENT_HEADS[message.DESCRIPTOR.name](message)
    return b"%sdata: %s\n\n" % (head, to_json(message))


def _document_head(message: Any) -> bytes:
    return b"event: deleted\n" if message.deleted else b"event: state\n"


def _changes_head(message: Any) -> bytes:
    # The id is what browsers send as Last-Event-ID when they connect again.
    name = b"changes" if message.changes else b"checkpoint"
    return b"id: %d\nevent: %s\n" % (message.revision, name)


_EVENT_HEADS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "WatchDocumentResponse": _document_head,
    "WatchChangesResponse": _changes_head,
}
"""By message: what stands in an event before its data."""


def error_event(error: PalimpsestError, call_id: str) -> bytes:
    """The last event of a stream that fails."""
    return b"event: error\ndata: %s\n\n" % answer_of(error, call_id).body
