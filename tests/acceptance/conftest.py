"""Every acceptance test runs through grpcurl and through the Python stubs."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest

from tests.acceptance.callers import Caller, GrpcurlCaller, StubCaller
from tests.harness import Server

CallerWithKey = Callable[[str | None], Caller]


@pytest.fixture(params=["grpcurl", "stubs"])
def caller_with(
    request: pytest.FixtureRequest, shared_server: Server, channel: grpc.Channel
) -> CallerWithKey:
    """Makes a caller with any key, or with none."""
    if request.param == "grpcurl":
        return lambda key: GrpcurlCaller(shared_server.address, key)
    return lambda key: StubCaller(channel, key)


@pytest.fixture
def call(caller_with: CallerWithKey, key: str) -> Caller:
    """A caller with a key of this test's own tenant."""
    return caller_with(key)
