"""The service in this process, as the tests of the RPCs have it, with its log kept short."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from service import logs
from tests.conftest import Report
from tests.harness import Server
from tests.hostile.peers import Memory
from tests.inprocess import ManualClock, Service, running_service
from tests.rpc.conftest import client, clock, connect, directory
from tests.tally import Tally

__all__ = ["client", "clock", "connect", "directory"]


@pytest_asyncio.fixture
async def service(directory: Path, clock: ManualClock) -> AsyncIterator[Service]:
    """With workers: some of the calls wait for them."""
    async with running_service(directory, clock, workers=2) as running:
        yield running


@pytest.fixture(autouse=True)
def quiet() -> Iterator[io.StringIO]:
    """What the service logs of its own failures; thousands of calls log nothing else."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    root.handlers[:], root.level = kept
    structlog.reset_defaults()


@pytest.fixture
def memory(server: Server, request: pytest.FixtureRequest, report: Report) -> Iterator[Memory]:
    """The memory of the module's `server`, its peak from here on, told at the end of the run."""
    made = Memory(server.process.pid)
    made.start()
    before = made.peak()
    yield made
    name = request.node.name.removeprefix("test_").replace("_", " ")
    report(Tally(f"Server from {before:.0f} to {made.peak():.0f} MiB: {name}", rounds=1))
