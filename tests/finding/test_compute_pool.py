"""The compute pool: processes that compute what the server's threads would, and may die of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from service.core.digests import Digester
from service.embedding.registry import open_embedder
from service.pipeline import chunking
from service.pipeline.encoder import IndexEncoder, Passage
from service.pipeline.indexing import Timeouts
from service.processes import compute_worker, module_path
from service.processes.compute_pool import IDLE_SECONDS, ComputePool
from service.processes.worker_process import (
    BOOTSTRAP,
    DEFAULT_OPTIONS,
    ProcessOptions,
    StartError,
    WorkerDiedError,
)
from service.settings import database_path
from tests.client import Client, connected
from tests.finding.children import NOTICE_HANGS_SOON, children_of, running
from tests.finding.service_harness import ServiceHarness, indexing, running_harness
from tests.finding.work import (
    POISON,
    add,
    chunk_documents_or,
    die,
    die_once,
    fail,
    hang,
    log_warning,
    module_path_of_process,
    own_pid,
    print_much,
)
from tests.harness import Server, running_server
from tests.inprocess import ManualClock
from tests.waiting import HANG_SECONDS, until

pytestmark = pytest.mark.processes

DIGESTER = Digester(b"0123456789abcdef")
TEXTS = [f"The harbour number {n} is closed on winter nights." for n in range(40)]


@asynccontextmanager
async def compute_pool(
    count: int = 1,
    embedder: str | None = None,
    idle: float = IDLE_SECONDS,
    options: ProcessOptions = DEFAULT_OPTIONS,
) -> AsyncIterator[ComputePool]:
    pool = ComputePool(count, DIGESTER, 1, embedder, idle, options=options)
    try:
        async with asyncio.timeout(HANG_SECONDS):
            yield pool
    finally:
        await pool.close()


def workers_of(pid: int) -> list[int]:
    return children_of(pid, compute_worker)


async def test_answers_come_to_whom_they_are_due() -> None:
    async with compute_pool(2) as pool:
        sums = await asyncio.gather(*(pool.run(add, n, right=n) for n in range(200)))
        assert sums == [2 * n for n in range(200)]
        pids: set[int] = set()
        while len(pids) < 2:  # The second begins when the first has much to do.
            pids.update(await asyncio.gather(*(pool.run(own_pid) for _ in range(20))))
        assert os.getpid() not in pids


async def test_little_work_is_done_by_one_worker() -> None:
    async with compute_pool(2) as pool:
        pool.wake()
        pids = {await pool.run(own_pid) for _ in range(20)}
        for _ in range(20):
            pids.update(await asyncio.gather(pool.run(own_pid), pool.run(own_pid)))
        assert [*pids] == workers_of(os.getpid())


async def test_a_failure_is_the_failure_of_the_work() -> None:
    async with compute_pool() as pool:
        with pytest.raises(LookupError, match="not here"):
            await pool.run(fail)
        assert await pool.run(add, 1, 2) == 3


async def test_what_libraries_print_is_no_answer() -> None:
    async with compute_pool() as pool:
        assert await pool.run(print_much) == "said"


async def test_work_that_a_worker_died_in_is_done_by_the_next(tmp_path: Path) -> None:
    async with compute_pool() as pool:
        mark = str(tmp_path / "mark")
        answers = await asyncio.gather(
            *(pool.run(die_once, mark) for _ in range(3)), pool.run(add, 1, 2)
        )
        assert answers == ["alive", "alive", "alive", 3]


async def test_work_that_kills_twice_is_given_up_and_the_rest_goes_on() -> None:
    async with compute_pool() as pool:
        with pytest.raises(WorkerDiedError):
            await pool.run(die)
        assert await pool.run(add, 1, 2) == 3


async def test_work_that_never_ends_is_given_up_and_the_rest_goes_on() -> None:
    async with compute_pool(options=NOTICE_HANGS_SOON) as pool:
        await pool.run(own_pid)
        with pytest.raises(WorkerDiedError):
            await pool.run(hang)
        assert await pool.run(add, 1, 2) == 3


async def test_a_caller_that_gives_up_takes_no_one_elses_answer() -> None:
    async with compute_pool() as pool:
        await pool.run(own_pid)
        given_up = asyncio.ensure_future(pool.run(add, 1, 1))
        await asyncio.sleep(0)
        given_up.cancel()
        assert await pool.run(add, 2, 2) == 4


async def test_a_worker_without_work_ends_and_another_begins() -> None:
    async with compute_pool(idle=0.05) as pool:
        first = await pool.run(own_pid)
        await until(lambda: not running(first))
        assert await pool.run(own_pid) != first


async def test_close_ends_the_processes() -> None:
    async with compute_pool() as pool:
        pid = await pool.run(own_pid)
    assert not running(pid)


async def test_a_worker_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with compute_pool() as pool:
        with pytest.raises(WorkerDiedError, match="cannot be started"):
            await pool.run(own_pid)


async def test_vectors_and_entries_are_those_of_the_server_itself() -> None:
    here = IndexEncoder(DIGESTER, 1, open_embedder("static"))  # type: ignore[arg-type]
    passages = [Passage(text, "Harbours", "Ann", 1_700_000_000_000_000) for text in TEXTS]
    async with compute_pool(embedder="static") as pool:
        assert await pool.run(IndexEncoder.entries, passages) == here.entries(passages)
        assert await pool.run(IndexEncoder.vectors, passages) == here.vectors(passages)


@pytest.mark.parametrize(
    "kind", [d.CONTENT_KIND_TEXT, d.CONTENT_KIND_HTML, d.CONTENT_KIND_MARKDOWN]
)
async def test_documents_become_what_threads_make_of_them(
    directory: Path, clock: ManualClock, kind: d.ContentKind.ValueType
) -> None:
    text = "\n\n".join(["# Harbours", *TEXTS, "<p>Gates</p>"])
    made: list[Sequence[object]] = []
    for count in (0, 1):
        async with running_harness(
            directory, clock, compute_processes=count, tenant=f"t{count}"
        ) as harness:
            request = d.UpsertDocumentRequest(custom_id="a", content=text, content_kind=kind)
            name = (await harness.client.documents.UpsertDocument(request)).receipt.id
            assert (await harness.settled(name)).status == d.DOCUMENT_STATUS_DONE
            made.append([(r.position, r.text, r.vector) for r in harness.chunks(name)])
    assert made[0] == made[1]
    assert len(made[0]) > 1


async def test_memories_become_what_the_server_makes_of_them(
    directory: Path, clock: ManualClock
) -> None:
    rows = []
    for count in (0, 1):
        async with running_harness(directory, clock, compute_processes=count) as harness:
            container = f"of-{count}"
            await _remember(harness, container, TEXTS)
            await _until_pool_is_ready(harness, count)
            await _remember(harness, container, [f"{text} Twice." for text in TEXTS])
            rows.append(
                harness.rows(
                    "SELECT content, entry, vector, embedder FROM memories"
                    " WHERE container = :container ORDER BY content",
                    container=container,
                )
            )
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2 * len(TEXTS)


async def _remember(harness: ServiceHarness, container: str, texts: Sequence[str]) -> None:
    await asyncio.gather(
        *(
            harness.client.memories.CreateMemories(
                m.CreateMemoriesRequest(
                    container_tag=container, memories=[m.NewMemory(content=text)]
                )
            )
            for text in texts
        )
    )


async def _until_pool_is_ready(harness: ServiceHarness, count: int) -> None:
    """Wait until a worker is ready, without sending it anything."""
    indexer = harness.service.store.engine.indexer
    await until(lambda: not count or indexer._executor.offloads_now)  # type: ignore[attr-defined]


async def test_memories_are_stored_while_no_worker_can_be_started(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with running_harness(directory, clock, compute_processes=1) as harness:
        long = [f"{n} {'word ' * 900}" for n in range(3)]
        await _remember(harness, "c", [*TEXTS, *long])
        assert await harness.contents("closed harbour", container_tags=["c"], limit=1)


async def test_memories_are_stored_while_a_worker_hangs(
    directory: Path, clock: ManualClock
) -> None:
    options = indexing(timeouts=Timeouts(offload=0.1))
    async with running_harness(directory, clock, compute_processes=1, options=options) as harness:
        await _remember(harness, "other", TEXTS)
        await _until_pool_is_ready(harness, 1)
        (worker,) = workers_of(os.getpid())
        os.kill(worker, signal.SIGSTOP)
        try:
            await _remember(harness, "c", [*TEXTS, "word " * 900])
            assert await harness.contents("closed harbour", container_tags=["c"], limit=1)
        finally:
            os.kill(worker, signal.SIGCONT)


async def _busy(server: Server) -> int:
    """The server's compute worker, while it has documents to work on."""
    # So many that they are not done before the worker is seen.
    async with connected(server.address, server.key) as client:
        items = [
            d.UpsertDocumentRequest(custom_id=f"c{n}", content=f"{n} {' '.join(TEXTS)}")
            for n in range(100)
        ]
        request = d.BatchUpsertDocumentsRequest(items=items)
        await client.documents.BatchUpsertDocuments(request)
    await until(lambda: bool(workers_of(server.process.pid)))
    return workers_of(server.process.pid)[0]


async def _ended(client: Client, name: str) -> d.Document:
    """The document once it is DONE or FAILED, however long that takes."""
    request = d.WatchDocumentRequest(id=name)
    return [event async for event in client.documents.WatchDocument(request)][-1].document


async def test_a_killed_worker_costs_no_document(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        os.kill(await _busy(server), signal.SIGKILL)
        async with connected(server.address, server.key) as client:
            for n in range(100):
                document = await _ended(client, f"c{n}")
                assert document.status == d.DOCUMENT_STATUS_DONE, document


@pytest.mark.parametrize("end", [die, hang])
async def test_a_document_that_no_worker_survives_fails_alone(
    directory: Path,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[IndexEncoder], None],
) -> None:
    options = indexing(processes=NOTICE_HANGS_SOON)
    monkeypatch.setattr(chunking, "chunk_documents", partial(chunk_documents_or, end))
    async with running_harness(
        directory, clock, compute_processes=1, workers=1, attempts=1, options=options
    ) as harness:
        texts = [*TEXTS[:5], POISON, *TEXTS[5:10]]
        items = [
            d.UpsertDocumentRequest(custom_id=f"c{n}", content=text) for n, text in enumerate(texts)
        ]
        await harness.client.documents.BatchUpsertDocuments(
            d.BatchUpsertDocumentsRequest(items=items)
        )
        for n, text in enumerate(texts):
            document = await _ended(harness.client, f"c{n}")
            if text == POISON:
                assert document.status == d.DOCUMENT_STATUS_FAILED
                assert "process" in document.error
            else:
                assert document.status == d.DOCUMENT_STATUS_DONE, document


async def test_a_worker_that_dies_while_it_begins_is_replaced() -> None:
    async with compute_pool() as pool:
        for _ in range(5):
            work = asyncio.ensure_future(pool.run(add, 1, 2))
            await until(lambda: bool(workers_of(os.getpid())))
            for pid in workers_of(os.getpid()):
                os.kill(pid, signal.SIGKILL)
            assert await work == 3


async def test_a_killed_server_leaves_no_worker(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        worker = await _busy(server)
        server.kill()
        await until(lambda: not running(worker))


async def test_a_stopped_server_leaves_no_worker(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        worker = await _busy(server)
        assert server.stop() == 0
        assert not running(worker)
        log = server.log.read_text()
    assert "compute_worker" not in log
    assert "fork" not in log
    assert database_path(server.data_dir).exists()


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "service.processes.start_attempts"
    ]


BROKEN = "import sys; print('first', file=sys.stderr); import nothing_of_that_name\n"


async def test_a_worker_that_never_begins_is_told_once_with_its_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with compute_pool(options=ProcessOptions(bootstrap=BROKEN)) as pool:
        for _ in range(5):
            with pytest.raises(StartError, match="nothing_of_that_name"):
                await pool.run(own_pid)
    (told,) = _said(caplog)
    assert "compute_worker cannot be started: ModuleNotFoundError: No module named" in told
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "first\nTraceback" in record.fields["output"]  # type: ignore[attr-defined]
    assert [
        record for record in caplog.records if record.name != "service.processes.start_attempts"
    ] == []


async def test_a_worker_that_can_be_started_again_is_used_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    repaired = tmp_path / "repaired"
    broken = f"import os\nif not os.path.exists({str(repaired)!r}): {BROKEN}"
    options = ProcessOptions(start_pause=0.0, bootstrap=broken + BOOTSTRAP)
    async with compute_pool(options=options) as pool:
        with pytest.raises(WorkerDiedError):
            await pool.run(own_pid)
        repaired.touch()
        assert await pool.run(add, 1, 2) == 3
    told = _said(caplog)
    assert len(told) == 2
    assert told[1].endswith("could be started now")


async def test_documents_are_processed_and_found_while_no_child_can_be_started(
    directory: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    options = indexing(processes=ProcessOptions(bootstrap=BROKEN))
    async with running_harness(directory, clock, compute_processes=2, options=options) as harness:
        items = [d.UpsertDocumentRequest(custom_id=f"c{n}", content=t) for n, t in enumerate(TEXTS)]
        await harness.client.documents.BatchUpsertDocuments(
            d.BatchUpsertDocumentsRequest(items=items)
        )
        for n in range(len(TEXTS)):
            document = await _ended(harness.client, f"c{n}")
            assert document.status == d.DOCUMENT_STATUS_DONE, document
            assert document.attempt_count <= 1
        search = d.SearchDocumentsRequest(query="closed harbour")

        async def told_of_both() -> bool:
            assert (await harness.client.documents.SearchDocuments(search)).hits
            return len(_said(caplog)) > 1

        await until(told_of_both)
        for _ in range(3):
            assert (await harness.client.documents.SearchDocuments(search)).hits
    assert len({text.split()[0] for text in _said(caplog)}) == len(_said(caplog)) == 2


async def test_children_see_the_module_path_of_the_server_and_no_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    async with compute_pool() as pool:
        path, isolated = await pool.run(module_path_of_process)
    assert path == module_path.absolute()
    assert isolated


async def test_children_go_on_when_they_are_told_to_stop() -> None:
    async with compute_pool() as pool:
        pid = await pool.run(own_pid)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
        assert await pool.run(own_pid) == pid


async def test_what_a_child_logs_is_logged_by_its_parent(caplog: pytest.LogCaptureFixture) -> None:
    async with compute_pool() as pool:
        pid = await pool.run(log_warning, "as it is")
    (record,) = [record for record in caplog.records if record.name == "work"]
    assert (record.levelname, record.getMessage()) == ("WARNING", "it is as it is")
    assert record.fields["pid"] == pid  # type: ignore[attr-defined]


async def test_a_child_that_crashes_is_told_with_what_it_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with compute_pool() as pool:
        pid = await pool.run(own_pid)
        os.kill(pid, signal.SIGSEGV)
        await until(lambda: "another takes its place" in caplog.text)
        assert await pool.run(own_pid) != pid
    (left,) = [record for record in caplog.records if record.name == compute_worker.__name__]
    assert "Segmentation fault" in left.getMessage()
    assert "most recent call first" in left.fields["text"]  # type: ignore[attr-defined]
