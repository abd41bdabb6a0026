"""A clock that the test moves, an embedding server that answers as the test wants."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from service.embedding import openai, registry
from tests.embedding_server import RetryPolicy, Server
from tests.finding.service_harness import ServiceHarness, running_harness, without_room
from tests.inprocess import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short enough a path for a socket, wherever pytest keeps its own."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as path:
        yield Path(path)


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch) -> None:
    """`words:NAME` is an embedder; see its module."""
    monkeypatch.setitem(registry._MODULES, "words", "tests.finding.words")


@pytest_asyncio.fixture
async def harness(directory: Path, clock: ManualClock) -> AsyncIterator[ServiceHarness]:
    """With an embedder that computes in the process."""
    async with running_harness(directory, clock, embedder="words:a") as made:
        yield made


@pytest_asyncio.fixture(params=["in memory", "block by block"])
async def any_harness(
    directory: Path, clock: ManualClock, request: pytest.FixtureRequest
) -> AsyncIterator[ServiceHarness]:
    """As `harness`, with room for indexes in memory and without."""
    options = without_room() if request.param == "block by block" else {}
    async with running_harness(directory, clock, embedder="words:a", **options) as made:
        yield made


@pytest.fixture
def server() -> Iterator[Server]:
    """An embedding server; what asks it waits for long."""
    made = Server()
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> RetryPolicy:
    """What asks an embedding server asks once, and waits for as long as this says."""
    retry_policy = RetryPolicy()
    monkeypatch.setattr(openai, "RetryPolicy", lambda: retry_policy)
    return retry_policy


@pytest.fixture
def embedder(server: Server) -> str:
    """The setting that names the embedding server."""
    return f"openai:{server.url}?model=m&dimension=3"


@pytest_asyncio.fixture
async def remote(
    directory: Path, clock: ManualClock, embedder: str
) -> AsyncIterator[ServiceHarness]:
    """With the embedding server."""
    async with running_harness(directory, clock, embedder=embedder) as made:
        yield made
