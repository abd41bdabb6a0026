"""A server that answers as a test has written, one script for each call."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_status import rpc_status

from service.core.errors import PalimpsestError
from service.rpc.errors import status_of

Script = list[Message | PalimpsestError]
"""What one call is sent; an error ends it."""


@dataclass
class ScriptedServer(grpc.GenericRpcHandler):
    """Answers the calls in their order.

    Attributes:
        streams: Whether the method streams.
        scripts: One for each call that is still to come.
        requests: What has been asked, as bytes.
    """

    streams: bool
    scripts: deque[Script]
    requests: list[bytes] = field(default_factory=list)
    address: str = ""

    def service(self, handler_call_details: Any) -> Any:
        if self.streams:
            return grpc.unary_stream_rpc_method_handler(self._answer)
        return grpc.unary_unary_rpc_method_handler(lambda *call: next(self._answer(*call)))

    def _answer(self, request: bytes, context: Any) -> Iterator[bytes]:
        self.requests.append(request)
        for step in self.scripts.popleft():
            if isinstance(step, PalimpsestError):
                context.abort_with_status(rpc_status.to_status(status_of(step)))
            else:
                yield step.SerializeToString()


@contextmanager
def scripted(*scripts: Script, streams: bool = False) -> Iterator[ScriptedServer]:
    """A running server with these scripts; all of them have to be asked for."""
    handler = ScriptedServer(streams, deque(scripts))
    server = grpc.server(ThreadPoolExecutor(), handlers=[handler])
    handler.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield handler
    finally:
        server.stop(None).wait()
    assert not handler.scripts
