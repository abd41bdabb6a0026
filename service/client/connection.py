"""A connection to a running server, and its failures in words for a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import grpc

from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from palimpsest.v1.memories_pb2_grpc import MemoriesStub

Answer = TypeVar("Answer")

# Upserts by custom id may be repeated. The first call of a command is none, so that
# a server that is not there is told of at once.
_RETRIES: Final = {
    "methodConfig": [
        {
            "name": [{"service": "palimpsest.v1.Documents", "method": "BatchUpsertDocuments"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "10s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}
_OPTIONS: Final = (
    ("grpc.service_config", json.dumps(_RETRIES)),
    # A request that does not fit is not repeated.
    ("grpc.per_rpc_retry_buffer_size", 17 * 1024 * 1024),
    ("grpc.max_receive_message_length", -1),
)


class ServerError(Exception):
    """A call failed; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server is, and how to be let in.

    Attributes:
        address: "host:port" or "unix:path".
        key: None for a server that asks for none.
        authority: PEM text of whoever signed the server's certificate; None: plaintext.
    """

    address: str
    key: str | None = None
    authority: bytes | None = None


class Connection:
    """The stubs of a channel, and calls with the key on them."""

    def __init__(self, channel: grpc.Channel, target: Target) -> None:
        self.documents = DocumentsStub(channel)
        self.memories = MemoriesStub(channel)
        self._address = target.address
        self._metadata = () if target.key is None else (("authorization", f"Bearer {target.key}"),)

    def call(
        self, method: Callable[..., Answer], request: object, *, seconds: float = 60
    ) -> Answer:
        """What `method` of a stub answers; ServerError if it fails or takes longer."""
        try:
            return method(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise ServerError(_explained(error, self._address)) from error


@contextmanager
def connected(target: Target) -> Iterator[Connection]:
    """A connection; made by its first call."""
    if target.authority is None:
        channel = grpc.insecure_channel(target.address, options=_OPTIONS)
    else:
        credentials = grpc.ssl_channel_credentials(target.authority)
        channel = grpc.secure_channel(target.address, credentials, options=_OPTIONS)
    with channel:
        yield Connection(channel, target)


def _explained(error: grpc.RpcError, address: str) -> str:
    call = cast("grpc.Call", error)  # of the stubs, every error is one
    details = (call.details() or "").rstrip(".")
    code = call.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        return (
            f"no server is serving at {address} ({details}); start it with `palimpsest serve`, "
            "or name its address with --address"
        )
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return (
            f"{details}; name the file of a key with --key-file "
            "(`palimpsest keys create` makes keys)"
        )
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return f"{details}; take a key that may do this, or another container"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"the server at {address} took too long to answer; try again"
    return f"{details} ({code.name})"
