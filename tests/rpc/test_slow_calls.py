"""Slow calls are logged with where their time went, over both transports."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import pytest_asyncio

from palimpsest.v1.documents_pb2 import UpsertDocumentRequest, WatchDocumentRequest
from palimpsest.v1.memories_pb2 import SearchMemoriesRequest
from tests.client import Client, connected
from tests.gates import held
from tests.http.wire import calling
from tests.inprocess import ManualClock, Service, running_service
from tests.logged import logged
from tests.waiting import until

EVERY = 1e-9
"""Seconds that any call takes."""

UPSERT = "/palimpsest.v1.Documents/UpsertDocument"
SECRETS = ("secret-content", "secret-tag", "secret-id")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with logged("info") as stream:
        yield stream


@pytest_asyncio.fixture
async def service(log: io.StringIO, directory: Path, clock: ManualClock) -> AsyncIterator[Service]:
    async with running_service(
        directory, clock, http="127.0.0.1:0", slow_call_seconds=EVERY
    ) as running:
        yield running


async def slow_call(log: io.StringIO, method: str) -> dict[str, Any]:
    """The line about the one call of a method; it is written before or after the answer."""

    def lines() -> list[dict[str, Any]]:
        parsed = map(json.loads, log.getvalue().splitlines())
        return [x for x in parsed if x["event"] == "slow call" and x["method"] == method]

    await until(lambda: bool(lines()))
    (line,) = lines()
    return line


def assert_adds_up(line: dict[str, Any]) -> None:
    """No stage is counted twice: all together, with the rest, take as long as the call."""
    stages = {name: took for name, took in line["stages"].items() if "." not in name}
    assert all(took >= 0 for took in stages.values()), stages
    # Each was rounded.
    assert sum(stages.values()) == pytest.approx(line["seconds"], abs=0.0001 * len(stages))


async def test_a_write(service: Service, client: Client, log: io.StringIO) -> None:
    content, tag, name = SECRETS
    await client.put(content, container_tags=[tag], custom_id=name)

    line = await slow_call(log, UPSERT)

    assert line["level"] == "warning"
    assert line["code"] == "OK"
    assert line["key"]
    # PostgreSQL names a part of the transaction, too.
    assert [name for name in line["stages"] if "." not in name] == [
        "admission", "receive", "decode", "validation", "queue", "write_wait", "transaction",
        "commit", "answer", "other",
    ]  # fmt: skip
    assert_adds_up(line)
    assert not [secret for secret in SECRETS if secret in log.getvalue()]


async def test_a_write_that_waits_in_its_transaction(
    directory: Path, clock: ManualClock, log: io.StringIO
) -> None:
    limit = 0.05
    async with (
        running_service(directory, clock, slow_call_seconds=limit) as service,
        connected(service.address, service.create_key()) as client,
    ):
        with held("INSERT INTO documents") as gate:
            call = asyncio.ensure_future(client.put())
            await gate.wait()
            reached = perf_counter()
            await until(lambda: perf_counter() > reached + limit)
            gate.go.set()
            await call
        line = await slow_call(log, UPSERT)
    assert line["seconds"] > limit
    assert line["stages"]["transaction"] > limit


async def test_a_read_and_a_search(service: Service, client: Client, log: io.StringIO) -> None:
    (made,) = await client.remember("The harbour is closed on winter nights.")
    await client.memory(made.id)
    await client.memories.SearchMemories(SearchMemoriesRequest(query="closed harbour"))

    read = await slow_call(log, "/palimpsest.v1.Memories/GetMemory")
    found = await slow_call(log, "/palimpsest.v1.Memories/SearchMemories")
    written = await slow_call(log, "/palimpsest.v1.Memories/CreateMemories")

    assert {"queue", "read_wait", "read"} <= read["stages"].keys()
    assert {"index", "transaction"} <= written["stages"].keys()
    legs = {"segments", "filter", "embed", "rank", "rank.words", "rank.vectors", "hydrate"}
    assert legs <= found["stages"].keys()
    assert found["stages"]["rank.words"] <= found["stages"]["rank"]
    for line in (read, found, written):
        assert_adds_up(line)


async def test_over_http(service: Service, log: io.StringIO) -> None:
    async with calling(service.http, service.create_key()) as caller:
        answer = await caller.call("POST", "/v1/documents", {"content": SECRETS[0]})
    assert answer.status == 200

    line = await slow_call(log, "POST /v1/documents")

    assert line["call_id"] == answer.headers["x-request-id"]
    assert {"admission", "decode", "validation", "transaction", "answer"} <= line["stages"].keys()
    assert_adds_up(line)


async def test_waiting_that_the_caller_asked_for_is_a_stage_of_its_own(
    service: Service, client: Client, log: io.StringIO
) -> None:
    """No worker is there: the wait lasts until the deadline, the stream until it is cancelled."""
    request = UpsertDocumentRequest(content="text", wait=True)
    receipt = (await client.documents.UpsertDocument(request, timeout=1)).receipt
    stream = client.documents.WatchDocument(WatchDocumentRequest(id=receipt.id))
    await stream.read()
    stream.cancel()

    waited = await slow_call(log, UPSERT)
    watched = await slow_call(log, "/palimpsest.v1.Documents/WatchDocument")

    assert waited["stages"]["wait"] > 0
    assert "stream" in watched["stages"]
    assert_adds_up(waited)
    assert_adds_up(watched)
