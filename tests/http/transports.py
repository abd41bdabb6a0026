"""The same calls over gRPC, over /v1 and over Connect's paths, with answers to compare."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import quote

import grpc
import httpx
from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2  # noqa: F401  (types that JSON is made of)
from google.rpc.status_pb2 import Status

from service.rpc.contract import SERVICES
from tests.waiting import HANG_SECONDS

METHODS: Final[dict[str, MethodDescriptor]] = {
    f"{service.name}.{method.name}": method for service in SERVICES for method in service.methods
}
"""By service and name: "Documents.GetDocument"."""


ENDLESS: Final = frozenset({"Changes.WatchChanges"})
"""Streams that go on until their callers end them."""


@dataclass
class Answer:
    """What a call was answered.

    Args:
        code: The name of the gRPC code; "OK".
        messages: One; of a stream as many as came, and of one without an end the first.
        message: The error's.
        details: The error's, as JSON.
        status: That of HTTP; 0 over gRPC.
        headers: Those of HTTP.
    """

    code: str
    messages: list[Message] = field(default_factory=list)
    message: str = ""
    details: list[dict[str, Any]] = field(default_factory=list)
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        return "".join(str(detail.get("reason", "")) for detail in self.details)


class Transport(Protocol):
    """A way to the service."""

    async def call(self, name: str, request: Message, key: str | None) -> Answer:
        """Call a method, such as "Documents.GetDocument"."""
        ...


@dataclass(frozen=True)
class GrpcTransport:
    channel: grpc.aio.Channel

    async def call(self, name: str, request: Message, key: str | None) -> Answer:
        method = METHODS[name]
        path = f"/{method.containing_service.full_name}/{method.name}"
        options: dict[str, Any] = {
            "timeout": HANG_SECONDS,
            "metadata": [] if key is None else [("authorization", f"Bearer {key}")],
        }
        parse = GetMessageClass(method.output_type).FromString
        data = request.SerializeToString()
        try:
            if method.server_streaming:
                stream: Any = self.channel.unary_stream(path, response_deserializer=parse)
                call = stream(data, **options)
                if name not in ENDLESS:
                    return Answer("OK", [message async for message in call])
                first = await call.read()
                call.cancel()
                return Answer("OK", [first])
            unary: Any = self.channel.unary_unary(path, response_deserializer=parse)
            return Answer("OK", [await unary(data, **options)])
        except grpc.aio.AioRpcError as error:
            raw: Any = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
            status = Status.FromString(raw)
            details = [json_format.MessageToDict(detail) for detail in status.details]
            return Answer(error.code().name, message=status.message, details=details)


@dataclass(frozen=True)
class NativeTransport:
    """The paths of the annotations."""

    client: httpx.AsyncClient

    async def call(self, name: str, request: Message, key: str | None) -> Answer:
        asked = self._request(*transcoded(METHODS[name], request), key, {})
        endless = name in ENDLESS
        answer = await (self._first_event(asked) if endless else self.client.send(asked))
        if answer.is_success:
            return Answer("OK", list(_messages(METHODS[name], answer)), "", [], 200, answer.headers)
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        return Answer(
            error["status"], [], error["message"], error["details"], error["code"], answer.headers
        )

    async def send(
        self, verb: str, path: str, query: Any, body: Any, key: str | None, **headers: str
    ) -> httpx.Response:
        return await self.client.send(self._request(verb, path, query, body, key, headers))

    def _request(
        self,
        verb: str,
        path: str,
        query: Any,
        body: Any,
        key: str | None,
        headers: Mapping[str, str],
    ) -> httpx.Request:
        given = {**headers} | ({} if key is None else {"authorization": f"Bearer {key}"})
        return self.client.build_request(verb, path, params=query, json=body, headers=given)

    async def _first_event(self, request: httpx.Request) -> httpx.Response:
        """The response to a stream without an end, up to its first event."""
        answer = await self.client.send(request, stream=True)
        text = b""
        async for part in answer.aiter_bytes():
            text += part
            if answer.is_success and text.endswith(b"\n\n"):
                break
        await answer.aclose()
        return httpx.Response(answer.status_code, headers=answer.headers, content=text)


@dataclass(frozen=True)
class ConnectTransport:
    """The paths of gRPC, with JSON."""

    client: httpx.AsyncClient

    async def call(self, name: str, request: Message, key: str | None) -> Answer:
        method = METHODS[name]
        answer = await self.client.post(
            f"/{method.containing_service.full_name}/{method.name}",
            json=json_format.MessageToDict(request),
            headers={} if key is None else {"authorization": f"Bearer {key}"},
        )
        if answer.is_success:
            return Answer("OK", list(_messages(method, answer)), "", [], 200, answer.headers)
        error = answer.json()
        details = [
            AnyMessage(
                type_url=f"type.googleapis.com/{detail['type']}",
                value=base64.b64decode(detail["value"] + "=="),
            )
            for detail in error["details"]
        ]
        return Answer(
            error["code"].upper(),
            [],
            error["message"],
            [json_format.MessageToDict(detail) for detail in details],
            answer.status_code,
            answer.headers,
        )


def transcoded(
    method: MethodDescriptor, request: Message
) -> tuple[str, str, list[tuple[str, str]], Any]:
    """Verb, path, query and body of a request, as the annotation of its method says."""
    http: Any = annotations_pb2.http
    rule = method.GetOptions().Extensions[http]
    verb = rule.WhichOneof("pattern")
    value = json_format.MessageToDict(request)

    def parameter(found: re.Match[str]) -> str:
        name = method.input_type.fields_by_name[found[1]].json_name
        return quote(value.pop(name), safe="")

    path = re.sub(r"\{(\w+)(?:=\*\*)?\}", parameter, getattr(rule, verb))
    if rule.body:
        return verb.upper(), path, [], value
    query = [
        (name, one if isinstance(one, str) else json.dumps(one))
        for name, given in value.items()
        for one in (given if isinstance(given, list) else [given])
    ]
    return verb.upper(), path, query, None


def _messages(method: MethodDescriptor, answer: httpx.Response) -> Iterator[Message]:
    texts = [answer.text]
    if method.server_streaming:
        assert answer.headers["content-type"].startswith("text/event-stream")
        texts = re.findall(r"^data: (.*)$", answer.text, re.MULTILINE)
    for text in texts:
        yield json_format.Parse(text, GetMessageClass(method.output_type)())


class Neutral:
    """Answers without what no two tenants have in common: ids, etags, tokens, times, revisions.

    Ids are replaced by their numbers, in the order in which they are met.
    """

    _ID: Final = re.compile(r"\b([a-z]{2,5})_[0-9A-Za-z]{22}\b")
    _HIDDEN: Final = {
        "createTime",
        "etag",
        "forgetTime",
        "keyId",
        "latestRevision",
        "nextPageToken",
        "revision",
        "time",
        "updateTime",
    }

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def __call__(self, answer: Answer) -> Any:
        return {
            "code": answer.code,
            "messages": [
                self._plain(
                    json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
                )
                for message in answer.messages
            ],
            "message": _camel(self._text(answer.message)),
            "details": [self._plain(detail) for detail in answer.details],
        }

    def _plain(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._plain(value[key], key) for key in sorted(value)}
        if isinstance(value, list):
            return [self._plain(one, name) for one in value]
        if name in self._HIDDEN:
            return bool(value) and f"<{name}>"
        if not isinstance(value, str):
            return value
        text = self._text(value)
        return _camel(text) if name in ("field", "description") else text

    def _text(self, text: str) -> str:
        return self._ID.sub(
            lambda found: self._ids.setdefault(found[0], f"<{found[1]} {len(self._ids)}>"), text
        )


def _camel(text: str) -> str:
    """Fields in errors have the names that the caller knows: custom_id, and customId in JSON."""
    return re.sub(r"(?<=[a-z])_([a-z])", lambda found: found[1].upper(), text)
