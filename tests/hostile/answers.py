"""What a call was answered, and whether such an answer may be given."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.client import Refusal, read_refusal
from tests.hostile.contract import path_of

PATIENCE: Final = 20.0
"""Seconds after which a call that has no answer is a finding."""

PERMITTED: Final = frozenset(
    {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""What a request of any bytes may be answered by a server that is well."""


@dataclass
class Answer:
    """`message` is None unless the code is OK; `refusal` is empty then."""

    code: grpc.StatusCode
    message: Any = None
    refusal: Refusal = field(default_factory=Refusal)

    @property
    def ok(self) -> bool:
        return self.code is grpc.StatusCode.OK

    def __str__(self) -> str:
        return f"{self.code.name} {self.refusal.info.reason} {self.refusal.fields}"


async def ask(
    channel: grpc.aio.Channel,
    method: MethodDescriptor,
    request: bytes | Message,
    key: str | None = None,
) -> Answer:
    """Calls any method with any bytes; of a stream, the first message is the answer."""
    body = request if isinstance(request, bytes) else request.SerializeToString()
    metadata = () if key is None else (("authorization", f"Bearer {key}"),)
    parse = GetMessageClass(method.output_type).FromString
    try:
        async with asyncio.timeout(PATIENCE):
            if not method.server_streaming:
                unary: grpc.aio.UnaryUnaryMultiCallable[bytes, Message] = channel.unary_unary(
                    path_of(method), response_deserializer=parse
                )
                return Answer(grpc.StatusCode.OK, await unary(body, metadata=metadata))
            stream: grpc.aio.UnaryStreamMultiCallable[bytes, Message] = channel.unary_stream(
                path_of(method), response_deserializer=parse
            )
            call = stream(body, metadata=metadata)
            try:
                return Answer(grpc.StatusCode.OK, await call.read())
            finally:
                call.cancel()
    except grpc.RpcError as error:
        return refused_with(error)


def refused_with(error: Any) -> Answer:
    """Decodes a refusal; raises AssertionError for one that is not in proper form."""
    refusal = Refusal()
    read_refusal(error, refusal)
    return Answer(error.code(), refusal=refusal)
