"""GET /metrics: what is counted, what is never said, and who is answered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode
from prometheus_client.parser import text_string_to_metric_families

from palimpsest.v1.documents_pb2 import DOCUMENT_STATUS_DONE, GetDocumentRequest
from palimpsest.v1.memories_pb2 import NewMemory, SearchMemoriesRequest
from service.core.model import Status
from service.http import app
from service.runtime.histogram import SECONDS
from service.storage.sqlite.store import SqliteStore
from tests.client import Client, connected, refused
from tests.finding.service_harness import running_harness
from tests.harness import REPOSITORY
from tests.http.wire import Caller, calling
from tests.inprocess import ManualClock, Service, running_service
from tests.waiting import until

CALLS = "palimpsest_call_duration_seconds"


async def samples(caller: Caller) -> dict[tuple[str, ...], float]:
    """All samples, by name and values of labels."""
    answer = await caller.call("GET", "/metrics")
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.name.startswith("palimpsest_")
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, *(value for _, value in sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


async def test_calls_are_counted_by_transport_method_and_code(
    service: Service, client: Client, caller: Caller
) -> None:
    made = await client.put()
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await client.documents.GetDocument(GetDocumentRequest(id="doc_0000000000000000000000"))
    assert (await caller.call("GET", "/v1/documents/nothing")).status == 404
    assert (await caller.call("POST", "/v1/documents", {"nothing": 1})).status == 400

    found = await samples(caller)

    def count(code: str, method: str, transport: str) -> float:
        return found[f"{CALLS}_count", code, method, transport]

    assert count("OK", "Documents.UpsertDocument", "grpc") == 1
    assert count("NOT_FOUND", "Documents.GetDocument", "grpc") == 1
    assert count("NOT_FOUND", "GET /v1/documents/{id}", "http") == 1
    assert count("INVALID_ARGUMENT", "POST /v1/documents", "http") == 1
    assert found["palimpsest_failures_total", "DOCUMENT_NOT_FOUND"] == 2
    buckets = [
        (float(key[2]), value)
        for key, value in found.items()
        if key[0] == f"{CALLS}_bucket" and "Documents.UpsertDocument" in key
    ]
    assert [bound for bound, _ in sorted(buckets)] == [*SECONDS, float("inf")]
    assert [value for _, value in sorted(buckets)] == sorted(value for _, value in buckets)
    assert max(buckets)[1] == 1
    # The scrape itself is a call in progress.
    assert found["palimpsest_calls_in_progress",] == 1
    assert made.id


async def test_what_the_service_is_made_of_is_measured(client: Client, caller: Caller) -> None:
    await client.put()

    found = await samples(caller)

    assert found["palimpsest_queue_documents", "waiting"] == 1
    assert found["palimpsest_queue_documents", "in_work"] == 0
    assert found["palimpsest_queue_oldest_seconds", "waiting"] > 0
    assert found["palimpsest_queue_oldest_seconds", "in_work"] == 0
    assert found["palimpsest_file_bytes", "database"] > 0
    assert found["palimpsest_file_bytes", "wal"] >= 0
    assert found["palimpsest_disk_free_bytes",] > 0
    assert found["palimpsest_process_resident_bytes", "server"] > 0
    assert found["palimpsest_process_cpu_seconds", "server"] > 0


async def test_the_work_behind_the_calls_is_measured(directory: Path, clock: ManualClock) -> None:
    async with (
        running_service(
            directory, clock, http="127.0.0.1:0", workers=1, sweep_interval=0.01,
            checkpoint_interval=0.01,
        ) as service,
        connected(service.address, service.create_key()) as client,
        calling(service.http) as caller,
    ):  # fmt: skip
        made = await client.put()
        await client.remember(
            NewMemory(content="The harbour is closed.", forget_after=clock.stamp(60)),
            NewMemory(content="The gate is open."),
        )
        await client.memories.SearchMemories(SearchMemoriesRequest(query="harbour"))
        clock.advance(61)

        store = service.store
        assert isinstance(store, SqliteStore)

        async def over() -> bool:
            state = await client.get(made.id)
            return (
                state.status == DOCUMENT_STATUS_DONE
                and store.expired == 1
                and store.maintenance.checkpoint_statistics.runs > 0
                and store.sweep_statistics.runs > 0
            )

        await until(over)
        found = await samples(caller)

    batches = found["palimpsest_write_batch_mutations_count",]
    assert found["palimpsest_write_batch_mutations_sum",] >= batches > 0
    assert found["palimpsest_write_batch_duration_seconds_count",] == batches
    assert found["palimpsest_documents_processed_total", "done"] == 1
    assert found["palimpsest_documents_processed_total", "failed"] == 0
    assert found["palimpsest_processing_documents", "embedding"] == 0
    assert found["palimpsest_leases_lapsed_total",] == 0
    assert found["palimpsest_memories_expired_total",] == 1
    assert found["palimpsest_embedder_calls_total", "ok"] > 0
    assert found["palimpsest_embedder_texts_total",] > 0
    assert found["palimpsest_embedder_seconds_total",] > 0
    assert found["palimpsest_index_segments", "warm"] == 1
    assert found["palimpsest_index_loads_total",] == 1
    assert found["palimpsest_index_bytes", "limit"] > found["palimpsest_index_bytes", "used"] > 0
    for task in ("checkpoint", "sweep"):
        assert found["palimpsest_upkeep_runs_total", task] > 0
        assert found["palimpsest_upkeep_last_success_timestamp_seconds", task] > 0
        assert found["palimpsest_upkeep_last_duration_seconds", task] > 0
    assert found["palimpsest_upkeep_last_success_timestamp_seconds", "scrub"] == 0


async def test_the_age_of_what_is_in_work(directory: Path, clock: ManualClock) -> None:
    async with (
        running_harness(directory, clock, http="127.0.0.1:0") as harness,
        calling(harness.service.http) as caller,
    ):
        harness.stages.hold(Status.EMBEDDING)
        await harness.client.put()
        await harness.stages.reached()
        clock.advance(3600)
        found = await samples(caller)
        harness.stages.let_go()
    assert found["palimpsest_queue_documents", "in_work"] == 1
    assert found["palimpsest_queue_oldest_seconds", "in_work"] >= 3600
    assert found["palimpsest_queue_oldest_seconds", "waiting"] == 0
    assert found["palimpsest_processing_documents", "embedding"] == 1
    assert found["palimpsest_processing_documents", "indexing"] == 0
    assert found["palimpsest_processing_oldest_seconds", "embedding"] > 0


async def test_callers_choose_no_labels(service: Service, client: Client, caller: Caller) -> None:
    tag = "secret-container"
    await client.put(container_tags=[tag], content="secret-content", custom_id="secret-id")
    before = await samples(caller)
    for number in range(200):
        assert (await caller.call("GET", f"/v1/nothing-{number}")).status == 404
        assert (await caller.call("GET", f"/v1/documents/secret-{number}")).status == 404
    for number in range(50):
        call: Any = client.channel.unary_unary(
            f"/palimpsest.v1.Documents/Secret{number}", Empty.SerializeToString
        )
        with refused(StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND"):
            await call(Empty())

    after = await samples(caller)

    assert not [key for key in after if any("secret" in part.lower() for part in key)]
    # Of methods and codes, there are two more: the scrape, and documents that are not there.
    new = {key[1:] for key in after.keys() - before.keys() if key[0] == f"{CALLS}_count"}
    assert new == {
        ("OK", "GET /metrics", "http"),
        ("NOT_FOUND", "GET /v1/documents/{id}", "http"),
    }
    assert after["palimpsest_failures_total", "METHOD_NOT_FOUND"] == 250


async def test_rules_and_pages_name_metrics_that_there_are(client: Client, caller: Caller) -> None:
    with refused(StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await client.documents.GetDocument(GetDocumentRequest(id="doc_0000000000000000000000"))
    there = {key[0] for key in await samples(caller)}
    there |= {name.removesuffix("_bucket") for name in there if name.endswith("_bucket")}
    rules, board = [
        (REPOSITORY / "service" / "deploy" / name).read_text()
        for name in ("alerts.yaml", "grafana.json")
    ]
    page = (REPOSITORY / "service/OPERATIONS.md").read_text()
    table = page.split("## Watching it")[1].split("\n## ")[0]

    for text in (rules, board, table):
        named = set(re.findall(r"palimpsest_\w+", text))
        assert named
        assert named <= there


@pytest.mark.parametrize("header", ["forwarded", "via", "x_forwarded_for", "x_real_ip"])
async def test_what_comes_through_a_proxy_is_refused(caller: Caller, header: str) -> None:
    assert (await caller.call("GET", "/metrics", **{header: "1.2.3.4"})).status == 403
    assert (await caller.call("GET", "/metrics")).status == 200


async def test_other_machines_are_refused_unless_all_are_answered(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_is_loopback", lambda host: False)
    for metrics, status in (("local", 403), ("all", 200), ("off", 404)):
        async with (
            running_service(
                directory / metrics, clock, listen=f"unix:{directory}/{metrics}.socket",
                http="127.0.0.1:0", metrics=metrics,
            ) as service,
            calling(service.http) as caller,
        ):  # fmt: skip
            answer = await caller.call("GET", "/metrics", x_forwarded_for="1.2.3.4")
        assert answer.status == status, metrics
