"""The service in this process, as the tests of the RPCs have it, with its log kept short."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import Server
from tests.hostile.peers import Memory
from tests.inprocess import ManualClock, Service, running_service
from tests.logged import logged
from tests.rpc.conftest import client, clock, connect, directory
from tests.tally import Report, Tally

__all__ = ["client", "clock", "connect", "directory"]


@pytest_asyncio.fixture
async def service(directory: Path, clock: ManualClock) -> AsyncIterator[Service]:
    """With workers: some of the calls wait for them."""
    async with running_service(directory, clock, workers=2) as running:
        yield running


@pytest.fixture(autouse=True)
def quiet() -> Iterator[io.StringIO]:
    """What the service logs of its own failures; thousands of calls log nothing else."""
    with logged("info") as stream:
        yield stream


@pytest.fixture
def memory(server: Server, request: pytest.FixtureRequest, report: Report) -> Iterator[Memory]:
    """The memory of the module's `server`, its peak from here on, told at the end of the run."""
    made = Memory(server.process.pid)
    made.start()
    before = made.peak()
    yield made
    name = request.node.name.removeprefix("test_").replace("_", " ")
    report(Tally(f"Server from {before:.0f} to {made.peak():.0f} MiB: {name}", rounds=1))
