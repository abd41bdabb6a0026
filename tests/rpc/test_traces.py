"""Calls as spans of distributed traces, at a real receiver of OTLP."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus

from palimpsest.v1.documents_pb2 import GetDocumentRequest, UpsertDocumentRequest
from palimpsest.v1.memories_pb2 import SearchMemoriesRequest
from service.rpc.active_call import ActiveCall
from service.rpc.origin import Origin
from service.rpc.peers import Connection
from service.runtime.call_stages import CallStages
from service.tracing.opening import TracingError, open_traces
from service.tracing.spans import SpanTraces
from tests.client import Client, connected, refused
from tests.harness import REPOSITORY, environment
from tests.http.wire import Caller, calling
from tests.inprocess import ManualClock, running_service
from tests.trace_receiver import TraceReceiver
from tests.waiting import HANG_SECONDS

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
UPSERT = "palimpsest.v1.Documents/UpsertDocument"
GET = "palimpsest.v1.Documents/GetDocument"
SEARCH = "palimpsest.v1.Memories/SearchMemories"


def traceparent(flags: str = "01") -> tuple[tuple[str, str], ...]:
    return (("traceparent", f"00-{TRACE}-{SPAN}-{flags}"),)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "HEADERS", "TRACES_HEADERS", "TIMEOUT"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    for name in ("SERVICE_NAME", "RESOURCE_ATTRIBUTES", "TRACES_SAMPLER", "SDK_DISABLED"):
        monkeypatch.delenv(f"OTEL_{name}", raising=False)


@pytest.fixture
def receiver() -> Iterator[TraceReceiver]:
    with TraceReceiver().running() as made:
        yield made


@asynccontextmanager
async def traced(directory: Path, clock: ManualClock, traces: str) -> AsyncIterator[Any]:
    """A client, and a caller over HTTP, of a service that has sent its spans when it is left."""
    async with (
        running_service(directory, clock, http="127.0.0.1:0", traces=traces) as service,
        connected(service.address, service.create_key()) as client,
        calling(service.http, service.create_key()) as caller,
    ):
        yield client, caller


def attributes(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


def assert_inside(receiver: TraceReceiver, span: Span) -> None:
    """The spans below it lie inside of it, one after the other, in its trace."""
    end = span.start_time_unix_nano
    for child in receiver.children(span):
        assert child.trace_id == span.trace_id
        assert child.kind == Span.SPAN_KIND_INTERNAL
        # A microsecond for what floating point loses of the clock.
        assert end - 1000 <= child.start_time_unix_nano <= child.end_time_unix_nano
        end = child.end_time_unix_nano
        assert_inside(receiver, child)
    assert end <= span.end_time_unix_nano + 1000


async def test_a_write_is_a_span_in_the_callers_trace(
    directory: Path, clock: ManualClock, receiver: TraceReceiver
) -> None:
    secret = "secret-content"
    request = UpsertDocumentRequest(content=secret, container_tags=["secret-tag"])
    async with traced(directory, clock, receiver.url) as (client, _):
        await client.documents.UpsertDocument(request, metadata=traceparent())

    root = receiver.root(UPSERT)
    assert root.trace_id.hex() == TRACE
    assert root.parent_span_id.hex() == SPAN
    assert attributes(root).keys() == {
        "rpc.system", "rpc.method", "palimpsest.code", "palimpsest.call_id",
    }  # fmt: skip
    assert attributes(root)["rpc.system"] == "grpc"
    assert attributes(root)["palimpsest.code"] == "OK"
    assert [child.name for child in receiver.children(root)] == [
        "admission", "receive", "decode", "validation", "queue", "write_wait", "transaction",
        "commit", "answer",
    ]  # fmt: skip
    assert_inside(receiver, root)
    assert receiver.resource["service.name"] == "palimpsest"
    assert b"secret" not in b"".join(raw for _, raw in receiver.requests)


async def test_over_http(directory: Path, clock: ManualClock, receiver: TraceReceiver) -> None:
    async with traced(directory, clock, receiver.url) as (_, caller):
        made: Caller = caller
        headers = dict(traceparent())
        answer = await made.call("POST", "/v1/documents", {"content": "text"}, **headers)
        assert answer.status == 200

    root = receiver.root("POST /v1/documents")
    assert root.trace_id.hex() == TRACE
    assert root.parent_span_id.hex() == SPAN
    assert attributes(root)["rpc.system"] == "http"
    assert attributes(root)["palimpsest.call_id"] == answer.headers["x-request-id"]
    assert {"validation", "transaction"} <= {child.name for child in receiver.children(root)}
    assert_inside(receiver, root)


async def test_the_legs_of_a_search(
    directory: Path, clock: ManualClock, receiver: TraceReceiver
) -> None:
    async with traced(directory, clock, receiver.url) as (client, _):
        await client.remember("The harbour is closed on winter nights.")
        await client.memories.SearchMemories(SearchMemoriesRequest(query="closed harbour"))

    root = receiver.root(SEARCH)
    legs = {child.name: child for child in receiver.children(root)}
    assert {"validation", "segments", "filter", "embed", "rank", "hydrate"} <= legs.keys()
    parts = [child.name for child in receiver.children(legs["rank"])]
    assert parts == ["rank.words", "rank.vectors"]
    assert_inside(receiver, root)


async def test_a_call_without_a_trace_begins_one(
    directory: Path, clock: ManualClock, receiver: TraceReceiver
) -> None:
    async with traced(directory, clock, receiver.url) as (client, _):
        made = await client.put()
        await client.get(made.id)

    written, read = receiver.root(UPSERT), receiver.root(GET)
    assert not written.parent_span_id
    assert written.trace_id != read.trace_id


async def test_a_trace_that_the_caller_does_not_sample_is_not_sent(
    directory: Path, clock: ManualClock, receiver: TraceReceiver
) -> None:
    request = UpsertDocumentRequest(content="text")
    async with traced(directory, clock, receiver.url) as (client, _):
        await client.documents.UpsertDocument(request, metadata=traceparent("00"))
    assert receiver.spans == []


async def test_the_environment_names_the_receiver_and_the_service(
    directory: Path, clock: ManualClock, receiver: TraceReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=memory,deployment=blue")
    async with traced(directory, clock, "otlp") as (client, _):
        await client.put()
    assert receiver.root(UPSERT).trace_id
    assert receiver.resource["service.name"] == "memory"
    assert receiver.resource["deployment"] == "blue"


async def test_an_error_of_the_caller_is_none_of_the_service(
    directory: Path, clock: ManualClock, receiver: TraceReceiver
) -> None:
    async with traced(directory, clock, receiver.url) as (client, _):
        with refused(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
            await client.documents.GetDocument(GetDocumentRequest(id="nothing"))
    root = receiver.root(GET)
    assert attributes(root)["palimpsest.code"] == "NOT_FOUND"
    assert attributes(root)["palimpsest.reason"] == "DOCUMENT_NOT_FOUND"
    assert root.status.code == SpanStatus.STATUS_CODE_UNSET


async def test_a_receiver_that_is_not_there_harms_no_call(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        # Bound, and not listening: connections are refused.
        async with traced(directory, clock, f"http://127.0.0.1:{port}") as (client, _):
            await _many_calls(client)


async def test_a_receiver_that_does_not_answer_harms_no_call(
    directory: Path, clock: ManualClock, receiver: TraceReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More spans are made than the queue holds."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    receiver.go_on.clear()
    async with traced(directory, clock, receiver.url) as (client, _):
        await client.put()
        assert await asyncio.to_thread(receiver.reached.wait, HANG_SECONDS)
        await _many_calls(client)
        receiver.go_on.set()


async def test_a_receiver_that_does_not_answer_does_not_hold_up_the_end(
    receiver: TraceReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(HANG_SECONDS))
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    receiver.go_on.clear()
    task = asyncio.current_task()
    assert task is not None
    traces = SpanTraces(f"{receiver.url}/v1/traces", end_seconds=0.01)
    call = ActiveCall(f"/{GET}", Connection("ipv4:127.0.0.1:1"), task, Origin, CallStages())
    traces.ended(call, "OK", None, 1.0)
    # Before the end: what is not under way by then may not be sent at all.
    assert await asyncio.to_thread(receiver.reached.wait, HANG_SECONDS)
    await asyncio.to_thread(traces.close)
    assert receiver.answered == 0


async def _many_calls(client: Client) -> None:
    receipts = await asyncio.gather(*(client.put(f"text {number}") for number in range(50)))
    assert len({receipt.id for receipt in receipts}) == 50


@pytest.mark.parametrize("module", ["sdk.trace", "exporter.otlp.proto.http.trace_exporter"])
def test_without_the_extra_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for own in ("spans", "exporting", "encoding"):
        monkeypatch.delitem(sys.modules, f"service.tracing.{own}", raising=False)
    monkeypatch.setitem(sys.modules, f"opentelemetry.{module}", None)
    with pytest.raises(TracingError, match=r"palimpsest-memory\[otel\]"):
        open_traces("http://127.0.0.1:4318")


@pytest.mark.processes
def test_without_tracing_nothing_is_loaded_for_it() -> None:
    program = (
        "import sys, service.app\n"
        "from service.tracing.opening import open_traces\n"
        "assert open_traces('off') is None\n"
        "print({'opentelemetry', 'requests', 'urllib3'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
    )
    assert done.stdout == "set()\n"


@pytest.mark.processes
def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    """The module that the extra brings cannot be imported."""
    program = (
        "import sys; sys.modules['opentelemetry.exporter'] = None\n"
        "from service.__main__ import main\n"
        f"sys.argv = ['palimpsest', 'serve', '--data-dir', {str(tmp_path / 'data')!r}, "
        "'--traces', 'otlp']\n"
        "raise SystemExit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "install palimpsest-memory[otel]" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "palimpsest.db").exists()
