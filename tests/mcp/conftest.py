"""Agents: clients of the protocol's SDK, on the tools of a fresh service."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio
from mcp import Client as McpClient

from service.client.address import parse_address
from service.client.rpcs import opened
from service.client.target import Target
from service.mcp.connection import DEFAULT_CONTAINER, Connection
from service.mcp.server import make_server
from tests.client import Client, connected
from tests.inprocess import ManualClock, Service, running_service
from tests.mcp.agent import Agent


class Agents(Protocol):
    def __call__(
        self, key: str = "", *, container: str = DEFAULT_CONTAINER
    ) -> AbstractAsyncContextManager[Agent]:
        """An agent with this key, or with a new one that may do everything."""
        ...


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short enough a path for a socket."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as path:
        yield Path(path)


@pytest_asyncio.fixture
async def service(directory: Path, clock: ManualClock) -> AsyncIterator[Service]:
    async with running_service(directory, clock, workers=1) as running:
        yield running


@pytest.fixture
def agents(service: Service) -> Agents:
    @asynccontextmanager
    async def agent(key: str = "", *, container: str = DEFAULT_CONTAINER) -> AsyncIterator[Agent]:
        target = Target(parse_address(service.address), key or service.create_key())
        async with opened(target) as rpcs:
            server = make_server(lambda _: Connection(rpcs, container))
            async with McpClient(server) as client:
                yield Agent(client)

    return agent


@pytest_asyncio.fixture
async def agent(agents: Agents) -> AsyncIterator[Agent]:
    # A fixture begins and ends in two tasks, and the SDK wants one.
    made, done = asyncio.Queue[Agent](), asyncio.Event()

    async def hold() -> None:
        async with agents() as agent:
            made.put_nowait(agent)
            await done.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(hold())
        yield await made.get()
        done.set()


@pytest_asyncio.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    """The same data as `agent` sees, over gRPC."""
    async with connected(service.address, service.create_key()) as made:
        yield made
