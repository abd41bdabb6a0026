"""A connection to a running server: its stubs, and calls that carry the key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import grpc

from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from palimpsest.v1.memories_pb2_grpc import MemoriesStub
from service.client.channel import explained, open_channel
from service.client.target import Target

Response = TypeVar("Response")

# Upserts by custom id are idempotent. The first call of a command is not one of them, so a
# server that is not running is reported at once.
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
    # A request that does not fit is not retried.
    ("grpc.per_rpc_retry_buffer_size", 17 * 1024 * 1024),
    ("grpc.max_receive_message_length", -1),
)


class Connection:
    """The stubs of a channel, and calls that carry the key."""

    def __init__(self, channel: grpc.Channel, target: Target) -> None:
        self.documents = DocumentsStub(channel)
        self.memories = MemoriesStub(channel)
        self._target = target
        self._metadata = () if target.key is None else (("authorization", f"Bearer {target.key}"),)

    def call(
        self, method: Callable[..., Response], request: object, *, seconds: float = 60
    ) -> Response:
        """The response of a stub's `method`; raises ServerError if it fails or takes longer."""
        try:
            return method(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise explained(error, self._target) from error


@contextmanager
def connected(target: Target) -> Iterator[Connection]:
    """A connection; established by its first call."""
    with open_channel(target, _OPTIONS) as channel:
        yield Connection(channel, target)
