"""What 1.0 means: a bare grpc.aio server whose handler does nothing.

It runs in a process of its own, on uvloop, as the service does, with the
generated servicer and a small message of the contract.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import uvloop

from palimpsest.v1.documents_pb2 import GetDocumentRequest, GetDocumentResponse
from palimpsest.v1.documents_pb2_grpc import DocumentsServicer, add_DocumentsServicer_to_server
from tests.harness import REPOSITORY, environment

REQUEST = GetDocumentRequest(id="doc_0000000000000000000000").SerializeToString()


class Empty(DocumentsServicer):
    async def GetDocument(  # noqa: N802
        self, request: GetDocumentRequest, context: object
    ) -> GetDocumentResponse:
        return GetDocumentResponse()


async def serve() -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_DocumentsServicer_to_server(Empty(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)  # noqa: T201
    await server.wait_for_termination()


@contextmanager
def running_baseline() -> Iterator[str]:
    """The address of a bare server."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.baseline"],
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    uvloop.run(serve())
