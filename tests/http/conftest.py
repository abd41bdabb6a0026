"""A fresh service for every test, in its event loop, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import Server, tenant_of
from tests.http.wire import Caller, calling
from tests.inprocess import ManualClock, Service, running_service
from tests.rpc.conftest import client, clock, connect, directory

__all__ = ["client", "clock", "connect", "directory"]


@pytest_asyncio.fixture
async def service(directory: Path, clock: ManualClock) -> AsyncIterator[Service]:
    """Over TCP: connections on a Unix socket cannot be told from one another."""
    async with running_service(directory, clock, http="127.0.0.1:0") as running:
        yield running


@pytest.fixture
def key(service: Service) -> str:
    """One that may do everything in the tenant of `client`."""
    return service.create_key()


@pytest.fixture
def shared_key(shared_server: Server, request: pytest.FixtureRequest) -> str:
    """One for a tenant of the server that tests share; `key` is one of `service`."""
    return shared_server.add_key(tenant_of(request.node.name))


@pytest_asyncio.fixture
async def caller(service: Service, key: str) -> AsyncIterator[Caller]:
    async with calling(service.http, key) as made:
        yield made


@pytest_asyncio.fixture
async def stranger(service: Service) -> AsyncIterator[Caller]:
    """A connection without a key."""
    async with calling(service.http) as made:
        yield made
