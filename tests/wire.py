"""Requests as they go over the wire, and what came back, for many processes at once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from palimpsest.v1 import changes_pb2, containers_pb2, documents_pb2, memories_pb2
from tests.waiting import HANG_SECONDS

METHODS: Final[dict[str, tuple[str, type[Message]]]] = {
    method.input_type.full_name: (
        f"/{service.full_name}/{method.name}",
        method.output_type._concrete_class,
    )
    for module in (documents_pb2, memories_pb2, containers_pb2, changes_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""By a request's full name: the path it is sent to, and the type of its answer."""

OK: Final = "OK"


@dataclass(frozen=True)
class Answer:
    """How one call ended.

    Args:
        code: Name of the gRPC code.
        body: Bytes of the response; of the google.rpc.Status, if there is one, when refused.
        sent: When the call began, by the machine's monotonic clock, in seconds.
        ended: When its answer was there.
    """

    code: str
    body: bytes
    sent: float
    ended: float
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.code == OK

    @property
    def reason(self) -> str:
        """Why the call was refused; empty when it was not, or not by the service."""
        return self.facts.get("reason", "")

    @property
    def outcome(self) -> str:
        """OK, or the reason of the refusal, or its code if it has no reason."""
        return self.reason or self.code


async def send(
    channel: grpc.aio.Channel, key: str, path: str, body: bytes, seconds: float = HANG_SECONDS
) -> Answer:
    """One call; never raises for what the server or the network did."""
    invoke: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    sent = time.monotonic()
    try:
        response = await invoke(
            body, metadata=(("authorization", f"Bearer {key}"),), timeout=seconds
        )
    except grpc.aio.AioRpcError as error:
        status = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        return Answer(error.code().name, status, sent, time.monotonic(), _facts(status))
    return Answer(OK, response, sent, time.monotonic())


async def ask(
    channel: grpc.aio.Channel, key: str, request: Message, seconds: float = HANG_SECONDS
) -> Answer:
    """`send` of a request to its own method."""
    path, _ = METHODS[request.DESCRIPTOR.full_name]
    return await send(channel, key, path, request.SerializeToString(), seconds)


def read(request: Message, answer: Answer) -> Any:
    """The response to a request that was not refused."""
    assert answer.ok, f"{request.DESCRIPTOR.name}: {answer.code} {answer.reason}"
    return METHODS[request.DESCRIPTOR.full_name][1].FromString(answer.body)


def _facts(status: bytes) -> dict[str, str]:
    for packed in status_pb2.Status.FromString(status).details:
        info = error_details_pb2.ErrorInfo()
        if packed.Unpack(info):
            return {**info.metadata, "reason": info.reason}
    return {}
