"""The RPCs of a running server, for an event loop: what agents' tools call."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

from palimpsest.v1 import documents_pb2, memories_pb2
from service.client.channel import STATUS_DETAILS, explained, open_async_channel
from service.client.target import Target
from service.core.actors import ACTOR
from service.core.errors import PalimpsestError, Reason, Violation
from service.mcp.rpcs import UnreachableError

_SECONDS: Final = 50.0
"""How long a call may take: agents give up on a tool after a minute."""

_REASON: Final = "palimpsest-reason"

# Mutations carry a request id, so that none is done twice.
_RETRIES: Final = {
    "methodConfig": [
        {
            "name": [{"service": f"palimpsest.v1.{name}"} for name in ("Documents", "Memories")],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS: Final = (
    ("grpc.service_config", json.dumps(_RETRIES)),
    ("grpc.per_rpc_retry_buffer_size", 17 * 1024 * 1024),
    ("grpc.max_receive_message_length", -1),
    # An agent is used for days, and the server may be restarted meanwhile.
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class ServerRpcs:
    """The RPCs of one server, with one key.

    Args:
        channel: To the server.
        target: Where that is, and the key.
        actor: On whose behalf the calls are made; empty: that is not said.
    """

    def __init__(self, channel: grpc.aio.Channel, target: Target, actor: str = "") -> None:
        self._channel = channel
        self._target = target
        key = () if target.key is None else (("authorization", f"Bearer {target.key}"),)
        self._metadata = (*key, (ACTOR, actor)) if actor else key
        self._methods = dict[str, Callable[..., Any]]()

    async def call(self, method: str, request: Message) -> Any:
        """The response message of a unary method, such as "Memories.GetMemory".

        Raises:
            PalimpsestError: The server refused the call.
            UnreachableError: It was not reached, does not know the key, or did not answer in
                time; the text says what to do.
        """
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = str(uuid.uuid4())  # type: ignore[attr-defined]
        try:
            return await self._method(method)(request, timeout=_SECONDS, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            refusal = _refusal(error)
            if refusal is not None:
                raise refusal from error
            # It may connect once more to find out what is wrong.
            raise UnreachableError(
                str(await asyncio.to_thread(explained, error, self._target))
            ) from error

    def _method(self, name: str) -> Callable[..., Any]:
        found = self._methods.get(name)
        if found is None:
            described = _described(name)
            found = self._methods[name] = self._channel.unary_unary(
                f"/{described.containing_service.full_name}/{described.name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=GetMessageClass(described.output_type).FromString,
            )
        return found


@asynccontextmanager
async def opened(target: Target, actor: str = "") -> AsyncIterator[ServerRpcs]:
    """The RPCs of a server; connected by the first call. `actor` as in `ServerRpcs`."""
    async with open_async_channel(target, _OPTIONS) as channel:
        yield ServerRpcs(channel, target, actor)


def _described(name: str) -> MethodDescriptor:
    service, _, method = name.partition(".")
    for file in (documents_pb2.DESCRIPTOR, memories_pb2.DESCRIPTOR):
        if service in file.services_by_name:
            return file.services_by_name[service].methods_by_name[method]
    raise ValueError(f"no such method: {name}")


def _refusal(error: grpc.aio.AioRpcError) -> PalimpsestError | None:
    """The error of the service; None for what concerns the key or the way to the server."""
    trailers = dict(error.trailing_metadata() or ())
    reason = str(trailers.get(_REASON, ""))
    if reason not in Reason.__members__ or error.code() in (
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ):
        return None
    return PalimpsestError(
        Reason[reason],
        error.details() or "",
        violations=_violations(trailers.get(STATUS_DETAILS)),
    )


def _violations(details: object) -> Sequence[Violation]:
    if not isinstance(details, bytes):
        return ()
    try:
        status = Status.FromString(details)
        for packed in status.details:
            bad = BadRequest()
            if packed.Unpack(bad):
                return [Violation(one.field, one.description) for one in bad.field_violations]
    except DecodeError:
        return ()
    return ()
