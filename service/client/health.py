"""The health check of a server, for probes."""

from __future__ import annotations

import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.client.channel import PROBE_SECONDS, ServerError, explained, open_channel
from service.client.target import Target


def check(target: Target, service: str, seconds: float) -> str:
    """The status of a service: `SERVING`, `NOT_SERVING` or `UNKNOWN`.

    Args:
        target: The server; no key is needed.
        service: Full name of a service; empty for the server as a whole.
        seconds: How long to wait for the answer.

    Raises:
        ServerError: The server could not be reached, did not answer in time, or knows
            no such service.
    """
    deadline = time.monotonic() + seconds
    with open_channel(target) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=service)
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(request, timeout=seconds)  # type: ignore[attr-defined]
        except grpc.RpcError as error:
            code = error.code()
            if code is grpc.StatusCode.NOT_FOUND:
                raise ServerError(
                    f"the server at {target.address} has no service {service}; "
                    "name one such as palimpsest.v1.Documents, or none for the whole server"
                ) from error
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise ServerError(
                    f"no answer from {target.address} within {seconds:g} seconds"
                ) from error
            left = min(PROBE_SECONDS, deadline - time.monotonic())
            raise explained(error, target, left) from error
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
