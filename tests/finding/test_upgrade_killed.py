"""A database of the release before, under a server that is killed while it indexes again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from palimpsest.v1 import memories_pb2 as m
from service.search import entry
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync
from tests.client import Client, connected
from tests.finding.service_harness import running_harness
from tests.harness import launch
from tests.inprocess import ManualClock
from tests.old_schemas import set_back
from tests.waiting import HANG_SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.processes]

MEMORIES = 3_000
BATCH = 100


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """A server that is killed at the end; its address."""
    command = [sys.executable, "-m", "service", "serve", "--data-dir", str(directory)]
    process, address = launch(command, directory / "log")
    try:
        yield address
    finally:
        process.kill()
        process.wait(HANG_SECONDS)


def outdated(directory: Path) -> int:
    """How many entries are of another version than this release's."""
    with open_sync(directory / "palimpsest.db") as conn:
        rows = conn.execute(
            text("/* look */ SELECT count(*) FROM memories WHERE substr(entry, 1, 1) <> :version"),
            {"version": bytes([entry.VERSION])},
        )
        return int(rows.scalar_one())


async def searched(client: Client, number: int) -> None:
    """What only one memory says finds it."""
    request = m.SearchMemoriesRequest(query=f"shelf number{number}", include_score_parts=True)
    (best, *_) = (await client.memories.SearchMemories(request)).hits
    assert best.memory.content == f"The quinces are on shelf number{number}"
    assert best.score_parts.lexical > 0


async def test_it_goes_on_after_kill_9_and_is_searched_meanwhile(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert entry.VERSION > 1
    with monkeypatch.context() as before:
        before.setattr(entry, "VERSION", 1)
        async with running_harness(directory, clock, embedder="static") as harness:
            key = harness.service.create_key()
            texts = [f"The quinces are on shelf number{number}" for number in range(MEMORIES)]
            for start in range(0, MEMORIES, BATCH):
                await harness.client.remember(*texts[start : start + BATCH])
            vectors = harness.rows("SELECT id, vector FROM memories ORDER BY id")
    with open_sync(directory / "palimpsest.db") as conn:
        set_back(conn, "0006")
    assert outdated(directory) == MEMORIES
    number = 0
    with served(directory) as address:
        async with connected(address, key) as client:
            while outdated(directory) == MEMORIES:
                number += 7
                await searched(client, number % MEMORIES)
    assert 0 < outdated(directory) < MEMORIES
    with served(directory) as address:
        async with connected(address, key) as client:
            while outdated(directory):
                number += 7
                await searched(client, number % MEMORIES)
            for number in range(0, MEMORIES, 100):
                await searched(client, number)
    with open_sync(directory / "palimpsest.db") as conn:
        rows = conn.execute(text("/* look */ SELECT id, vector FROM memories ORDER BY id"))
        assert rows.all() == vectors
    assert SqliteAdministration(directory / "palimpsest.db").check(lambda _: None) == []
