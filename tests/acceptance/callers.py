"""Two ways to speak the contract, both from JSON: grpcurl, and the Python stubs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2  # noqa: F401  (details in the pool)

from palimpsest.v1 import containers_pb2, documents_pb2, memories_pb2
from palimpsest.v1.containers_pb2_grpc import ContainersStub
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from palimpsest.v1.memories_pb2_grpc import MemoriesStub
from tests.waiting import HANG_SECONDS

Json = dict[str, Any]


class CallError(Exception):
    """An error status, as JSON."""

    def __init__(self, status: Json) -> None:
        super().__init__(str(status))
        self.code = grpc_code(status["code"])
        self.message: str = status["message"]
        details: list[Json] = status.get("details", [])
        self.reasons = [d["reason"] for d in details if d["@type"].endswith("ErrorInfo")]
        self.fields = [
            violation["field"]
            for d in details
            if d["@type"].endswith("BadRequest")
            for violation in d["fieldViolations"]
        ]


class Caller(Protocol):
    def __call__(self, method: str, /, **request: Any) -> Json:
        """Calls `Service.Method` with a JSON request; raises CallError."""
        ...


def grpc_code(number: int) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == number)


class GrpcurlCaller:
    """A person at a shell. The server's reflection tells grpcurl the contract."""

    PROGRAM = Path(sys.executable).with_name("grpcurl")

    def __init__(self, address: str, key: str | None) -> None:
        self._address = address
        self._headers = [] if key is None else ["-H", f"authorization: Bearer {key}"]

    def __call__(self, method: str, /, **request: Any) -> Json:
        service, _, rpc = method.partition(".")
        options = ["-plaintext", "-emit-defaults", "-format-error", *self._headers, "-d", "@"]
        done = subprocess.run(
            [str(self.PROGRAM), *options, self._address, f"palimpsest.v1.{service}/{rpc}"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            answer: Json = json.loads(done.stdout)
            return answer
        start = done.stderr.find("{")
        if start < 0:
            raise AssertionError(done.stderr)
        raise CallError(json.loads(done.stderr[start:]))


class StubCaller:
    """A Python program with the generated synchronous stubs."""

    def __init__(self, channel: grpc.Channel, key: str | None) -> None:
        self._metadata = None if key is None else [("authorization", f"Bearer {key}")]
        self._services: Mapping[str, tuple[Any, Any]] = {
            "Documents": (DocumentsStub(channel), documents_pb2),
            "Memories": (MemoriesStub(channel), memories_pb2),
            "Containers": (ContainersStub(channel), containers_pb2),
        }

    def __call__(self, method: str, /, **request: Any) -> Json:
        service, _, rpc = method.partition(".")
        stub, messages = self._services[service]
        message = json_format.ParseDict(request, getattr(messages, f"{rpc}Request")())
        try:
            answer = getattr(stub, rpc)(message, metadata=self._metadata, timeout=HANG_SECONDS)
        except grpc.RpcError as error:
            raise CallError(_status_json(error)) from error
        return json_format.MessageToDict(answer, always_print_fields_with_no_presence=True)


def _status_json(error: Any) -> Json:
    trailers = {pair[0]: pair[1] for pair in error.trailing_metadata() or ()}
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    return json_format.MessageToDict(status)
