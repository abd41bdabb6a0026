"""The search worker: a process that searches and lists for the server, and may die of it."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.filter_pb2 import Filter, FilterList
from service import indexing_runtime
from service.core.errors import PalimpsestError, Reason, Violation
from service.processes import search_worker
from service.processes.worker_process import WorkerProcess
from service.retrieval.segments import Segments
from tests.backends.sqlite import SqliteBackend
from tests.client import Client, Refusal, connected, refused, struct
from tests.finding.children import NOTICE_HANGS_SOON, children_of, running
from tests.finding.service_harness import indexing, running_harness, where
from tests.harness import Server, running_server
from tests.http.wire import calling
from tests.inprocess import ManualClock
from tests.logged import logged
from tests.waiting import HANG_SECONDS, until

pytestmark = pytest.mark.processes

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FACTS = [f"The harbour number {n} is closed on winter nights." for n in range(30)]
TEXT = "\n\n".join(f"Gate {n} of the harbour opens at {n} o'clock." for n in range(12))


async def _search(client: Client, query: str = "closed harbour") -> list[str]:
    request = m.SearchMemoriesRequest(query=query)
    found = await client.memories.SearchMemories(request)
    return [hit.memory.content for hit in found.hits]


async def _search_worker(server: Server, client: Client) -> int:
    """The process id of the search worker of a server, once it searches."""
    await _search(client)
    pid = server.process.pid

    async def searches() -> bool:
        await _search(client)
        # What has the database open is ready, or all but ready.
        return any(server.backend.is_open_in(child) for child in children_of(pid, search_worker))

    await until(searches)
    (found,) = children_of(pid, search_worker)
    return found


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[WorkerProcess]:
    """Those of the services that a test runs in its own process."""
    begun: list[WorkerProcess] = []

    class Noted(WorkerProcess):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            begun.append(self)

    monkeypatch.setattr(indexing_runtime, "WorkerProcess", Noted)
    return begun


async def _ready(workers: list[WorkerProcess]) -> None:
    """Wait until they search, as the first search makes them do."""

    async def ready() -> bool:
        return all(worker.ready for worker in workers)

    for worker in workers:
        worker.wake()
    await until(ready)


async def test_the_past_is_closed_for_it_by_the_server(
    directory: Path, clock: ManualClock, workers: list[WorkerProcess]
) -> None:
    """It only reads, and a commit with an earlier time may be under way."""
    async with running_harness(directory, clock, compute_processes=1) as harness:
        await harness.client.remember(FACTS[0])
        await _ready(workers)
        for _ in range(2):
            past = clock.tick()
            store = harness.service.store
            listed = await harness.client.remembered(as_of=past)
            assert [memory.content for memory in listed] == [FACTS[0]]
            search = m.SearchMemoriesRequest(query="harbour", as_of=past)
            found = await harness.client.memories.SearchMemories(search)
            assert [hit.memory.content for hit in found.hits] == [FACTS[0]]
            (row,) = harness.rows("SELECT max(last_time) AS last FROM tenants")
            assert row.last == past.ToMicroseconds()
            assert store.now() > row.last
        with refused(grpc.StatusCode.OUT_OF_RANGE, "TIME_IN_FUTURE"):
            await harness.client.remembered(as_of=clock.stamp(60))


async def test_it_judges_by_the_servers_clock(
    directory: Path, clock: ManualClock, workers: list[WorkerProcess]
) -> None:
    """Also when that is set back."""
    async with running_harness(directory, clock, compute_processes=1) as harness:
        await harness.client.remember(m.NewMemory(content=FACTS[0], forget_after=clock.stamp(3600)))
        await _ready(workers)
        assert await _search(harness.client) == [FACTS[0]]
        clock.jump(24 * 3600)
        assert await _search(harness.client) == []
        assert await harness.client.remembered() == []
        clock.jump(-24 * 3600)
        assert await _search(harness.client) == [FACTS[0]]
        assert [memory.content for memory in await harness.client.remembered()] == [FACTS[0]]


async def test_what_it_finds_is_what_the_server_itself_finds(
    directory: Path, clock: ManualClock, workers: list[WorkerProcess]
) -> None:
    """Ids, scores, parts, neighbours, filters, the past, what is forgotten; pages."""
    async with running_harness(directory, clock) as harness:
        made = await harness.client.remember(
            *(
                m.NewMemory(content=fact, metadata=struct({"n": str(n % 3)}))
                for n, fact in enumerate(FACTS)
            )
        )
        past = clock()
        clock.advance(1)
        forget = m.ForgetMemoriesRequest(ids=[made[0].id])
        await harness.client.memories.ForgetMemories(forget)
        receipt = await harness.client.put(TEXT, custom_id="gates")
        await harness.settled(receipt.id)
    answers: list[list[bytes]] = []
    for count in (0, 1):
        async with running_harness(directory, clock, compute_processes=count) as harness:
            memories = [
                m.SearchMemoriesRequest(query="harbour number 7", include_score_parts=True),
                m.SearchMemoriesRequest(query="winter", filter=where("n", "1"), limit=5),
                m.SearchMemoriesRequest(query="winter", include_forgotten=True, limit=50),
                m.SearchMemoriesRequest(
                    query="nights", include_chunks=True, include_documents=True, limit=50
                ),
            ]
            memories[1].as_of.FromMicroseconds(past)
            documents = [
                d.SearchDocumentsRequest(query="when does gate 3 open", neighbors=1),
                d.SearchDocumentsRequest(query="gate", include_content=True, limit=3),
            ]
            await _ready(workers)
            found = [await harness.client.memories.SearchMemories(one) for one in memories]
            read = [await harness.client.documents.SearchDocuments(one) for one in documents]
            assert all(answer.hits for answer in found)
            assert all(answer.hits for answer in read)
            first, *_ = pages = await _pages(harness.client)
            assert first.memories
            versions = m.ListMemoryVersionsRequest(id=made[1].id)
            others = [
                await harness.client.memories.ListMemoryVersions(versions),
                await harness.client.memories.GetProfile(m.GetProfileRequest(query="harbour")),
                await harness.client.documents.ListDocuments(d.ListDocumentsRequest()),
                await harness.client.documents.ListChunks(d.ListChunksRequest(id="gates")),
                await harness.client.containers.ListContainers(c.ListContainersRequest()),
            ]
            assert len(workers) == count
            everything: list[Message] = [*found, *read, *pages, *others]
            answers.append([one.SerializeToString(deterministic=True) for one in everything])
    assert answers[0] == answers[1]


async def _pages(client: Client) -> list[m.ListMemoriesResponse]:
    request = m.ListMemoriesRequest(page_size=7, filter=where("n", "1"), include_forgotten=True)
    pages = [await client.memories.ListMemories(request)]
    while pages[-1].next_page_token:
        request.page_token = pages[-1].next_page_token
        pages.append(await client.memories.ListMemories(request))
    assert len(pages) > 1
    return pages


async def test_what_is_refused_is_refused_with_the_same_words(
    directory: Path, clock: ManualClock, workers: list[WorkerProcess]
) -> None:
    told: list[list[Refusal]] = []
    for count in (0, 1):
        async with running_harness(directory, clock, compute_processes=count) as harness:
            await _ready(workers)
            ask = harness.client.documents.ListDocuments
            with refused(INVALID, "INVALID_REQUEST") as broken:
                await ask(d.ListDocumentsRequest(page_size=-1, container_tags=["no tag"]))
            with refused(INVALID, "INVALID_PAGE_TOKEN") as stale:
                await ask(d.ListDocumentsRequest(page_token="?"))
            told.append([broken, stale])
    assert told[0] == told[1]
    assert told[0][0].fields


async def test_what_nobody_expected_is_logged_with_its_place(tmp_path: Path) -> None:
    """The caller hears nothing of it."""
    with running_server(tmp_path / "data") as server:
        async with connected(server.address, server.key) as client:
            await _search_worker(server, client)
            server.backend.execute("ALTER TABLE containers RENAME TO secret")
            with refused(grpc.StatusCode.INTERNAL, "INTERNAL") as refusal:
                await client.containers.ListContainers(c.ListContainersRequest())
            server.backend.execute("ALTER TABLE secret RENAME TO containers")
        assert "containers" not in refusal.message
        assert "storage/containers/lists.py" in server.log.read_text()


async def _slow(client: Client) -> d.ListDocumentsRequest:
    """A list that looks through thousands of documents and finds none."""
    some = struct({"n": "1"})
    items = [
        d.UpsertDocumentRequest(custom_id=f"c{n}", content=f"{n}", metadata=some)
        for n in range(600)
    ]
    for step in range(7):
        for item in items:
            item.custom_id = f"{step} {item.content}"
        await client.documents.BatchUpsertDocuments(d.BatchUpsertDocumentsRequest(items=items))
    many = [where(f"k{n}", "nowhere") for n in range(90)]
    return d.ListDocumentsRequest(filter=Filter(any_of=FilterList(filters=many)))


async def test_a_list_that_is_given_up_ends_there(tmp_path: Path) -> None:
    """It has the one connection for lists, where it would stand in the way of others."""
    with running_server(tmp_path / "data", "--workers", "0") as server:
        async with connected(server.address, server.key) as client:
            await _search_worker(server, client)
            ask, slow = client.documents.ListDocuments, await _slow(client)
            given_up = [asyncio.ensure_future(ask(slow)) for _ in range(900)]
            await asyncio.wait(given_up, return_when=asyncio.FIRST_COMPLETED)
            for one in given_up:
                one.cancel()
            await asyncio.gather(*given_up, return_exceptions=True)
            page = await ask(d.ListDocumentsRequest(page_size=1), timeout=HANG_SECONDS)
            assert page.documents


async def test_deleted_text_leaves_the_log_while_lists_never_pause(tmp_path: Path) -> None:
    options = ("--workers", "0", "--checkpoint-interval", "0.2", "--readers", "4")
    with running_server(tmp_path / "data", *options) as server:
        async with connected(server.address, server.key) as client:
            await _search_worker(server, client)
            slow = await _slow(client)
            ended = asyncio.Event()

            async def lister() -> None:
                while not ended.is_set():
                    await client.documents.ListDocuments(slow)

            backend = server.backend
            assert isinstance(backend, SqliteBackend)
            log = backend.path.with_suffix(".db-wal")

            async def writer() -> None:
                while not ended.is_set():
                    await client.put("another document")

            async with asyncio.TaskGroup() as group:
                group.create_task(writer())
                for _ in range(8):
                    group.create_task(lister())
                receipt = await client.put("the marker of a deleted document")
                # A checkpoint may already have moved it from the one to the other.
                written = log.read_bytes() + backend.path.read_bytes()
                assert b"the marker of a deleted" in written
                await client.documents.DeleteDocument(d.DeleteDocumentRequest(id=receipt.id))

                async def gone() -> bool:
                    return b"the marker of a deleted" not in log.read_bytes()

                try:
                    await until(gone)
                finally:
                    ended.set()


async def test_what_was_written_is_found_at_once(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with connected(server.address, server.key) as client:
            await _search_worker(server, client)
            for fact in FACTS:
                (made,) = await client.remember(fact)
                assert fact in await _search(client, fact)
                await client.memories.ForgetMemory(m.ForgetMemoryRequest(id=made.id))
                assert fact not in await _search(client, fact)


def test_errors_are_the_same_on_the_other_side() -> None:
    error = PalimpsestError(
        Reason.OVERLOADED,
        "Too much",
        violations=[Violation("a", "b")],
        resource=("kind", "name"),
        metadata={"key": "value"},
        retry_after=1.5,
    )

    again = pickle.loads(pickle.dumps(error))

    assert vars(again) == vars(error)
    assert str(again) == str(error)


async def test_a_killed_worker_costs_no_search(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with connected(server.address, server.key) as client:
            await client.remember(*FACTS)
            for _ in range(3):
                os.kill(await _search_worker(server, client), signal.SIGKILL)
                assert all(await asyncio.gather(*(_search(client) for _ in range(8))))


async def test_a_worker_that_hangs_is_ended(
    directory: Path, clock: ManualClock, workers: list[WorkerProcess]
) -> None:
    options = indexing(processes=NOTICE_HANGS_SOON)
    async with running_harness(directory, clock, compute_processes=1, options=options) as harness:
        await harness.client.remember(*FACTS)
        await _ready(workers)
        (hanging,) = children_of(os.getpid(), search_worker)
        os.kill(hanging, signal.SIGSTOP)
        assert await _search(harness.client)
        assert not running(hanging)


async def test_a_worker_shows_that_it_lives(
    directory: Path,
    clock: ManualClock,
    workers: list[WorkerProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_harness(directory, clock, compute_processes=1):
        await _ready(workers)
        monkeypatch.setattr(workers[0], "ready", False)
        await _ready(workers)


async def test_the_server_itself_searches_while_there_is_no_search_worker(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with running_harness(directory, clock, compute_processes=1) as harness:
        await harness.client.remember(*FACTS)
        assert await harness.contents("closed harbour")


async def test_the_server_keeps_no_index_once_there_is_a_search_worker(
    directory: Path,
    clock: ManualClock,
    workers: list[WorkerProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[Segments] = []
    make = Segments.__init__

    def noted(self: Segments, *args: Any) -> None:
        make(self, *args)
        kept.append(self)

    monkeypatch.setattr(Segments, "__init__", noted)
    async with running_harness(directory, clock, compute_processes=1) as harness:
        await harness.client.remember(*FACTS)
        assert await harness.contents("closed harbour")
        (segments,) = kept
        assert segments.size
        await _ready(workers)
        assert await harness.contents("closed harbour")
        assert not segments.size


async def test_a_caller_that_gives_up_takes_no_one_elses_answer(
    directory: Path, clock: ManualClock, workers: list[WorkerProcess]
) -> None:
    async with running_harness(directory, clock, compute_processes=1) as harness:
        await harness.client.remember("tea is hot", "snow is cold")
        await _ready(workers)
        for _ in range(10):
            given_up = asyncio.ensure_future(harness.contents("tea", limit=1))
            await asyncio.sleep(0.001)
            given_up.cancel()
            assert await harness.contents("snow", limit=1) == ["snow is cold"]


async def test_a_killed_server_leaves_no_search_worker(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with connected(server.address, server.key) as client:
            worker = await _search_worker(server, client)
        server.kill()
        await until(lambda: not running(worker))


async def test_a_stopped_server_leaves_no_search_worker(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with connected(server.address, server.key) as client:
            worker = await _search_worker(server, client)
        assert server.stop() == 0
        assert not running(worker)
        assert "search_worker" not in server.log.read_text()


async def test_it_tells_what_the_stages_of_a_search_took(
    directory: Path, clock: ManualClock, workers: list[WorkerProcess]
) -> None:
    with logged("info") as log:
        async with running_harness(
            directory, clock, compute_processes=1, slow_call_seconds=1e-9
        ) as harness:
            await harness.client.remember(*FACTS)
            await _ready(workers)
            log.truncate(0)
            assert FACTS[7] in await _search(harness.client, "harbour number 7")
            await until(lambda: "SearchMemories" in log.getvalue())
    lines = [json.loads(line) for line in log.getvalue().strip("\0").splitlines()]
    (stages,) = [
        line["stages"] for line in lines if line.get("method", "").endswith("/SearchMemories")
    ]
    named = {"worker_wait", "validation", "segments", "filter", "embed", "rank", "hydrate"}
    assert named <= stages.keys()
    assert all(took >= 0 for took in stages.values())


async def test_it_tells_what_its_indexes_take_up(
    directory: Path, clock: ManualClock, workers: list[WorkerProcess]
) -> None:
    async with (
        running_harness(directory, clock, compute_processes=1, http="127.0.0.1:0") as harness,
        calling(harness.service.http) as caller,
    ):
        await harness.client.remember(*FACTS)
        await _ready(workers)
        await _search(harness.client)
        text = (await caller.call("GET", "/metrics")).body.decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] not in ("#", ""))
    assert float(lines['palimpsest_index_segments{state="warm"}']) == 1
    assert float(lines["palimpsest_index_loads_total"]) == 1
    assert float(lines['palimpsest_index_bytes{kind="used"}']) > 0
