"""A fresh service for every test, in the test's own event loop."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from tests.client import Client, connected
from tests.inprocess import ManualClock, Service, running_service


class Connect(Protocol):
    def __call__(
        self,
        *,
        key: str | None = "",
        tenant: str = "test",
        containers: Sequence[str] = (),
        read_only: bool = False,
    ) -> AbstractAsyncContextManager[Client]:
        """A client with this key, with none (None), or with a new one."""
        ...


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short enough a path for a socket, wherever pytest keeps its own."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as path:
        yield Path(path)


@pytest_asyncio.fixture
async def service(directory: Path, clock: ManualClock) -> AsyncIterator[Service]:
    async with running_service(directory, clock) as running:
        yield running


@pytest.fixture
def connect(service: Service) -> Connect:
    """Further clients of the service, with other keys."""

    @asynccontextmanager
    async def connect(
        *,
        key: str | None = "",
        tenant: str = "test",
        containers: Sequence[str] = (),
        read_only: bool = False,
    ) -> AsyncIterator[Client]:
        if key == "":
            key = service.create_key(tenant=tenant, containers=containers, read_only=read_only)
        async with connected(service.address, key) as client:
            yield client

    return connect


@pytest_asyncio.fixture
async def client(connect: Connect) -> AsyncIterator[Client]:
    """A client that may do everything in a tenant without contents."""
    async with connect() as made:
        yield made
