"""What a call meets before and beside the rules: bytes, methods, health, reflection."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from palimpsest.v1 import documents_pb2
from tests.client import Client, health_stub, refused
from tests.rpc.conftest import Connect

SERVICES = {
    "palimpsest.v1.Documents",
    "palimpsest.v1.Memories",
    "palimpsest.v1.Containers",
}


async def send(client: Client, path: str, body: bytes) -> None:
    """A call with these bytes for its request."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = client.channel.unary_unary(path)
    await call(body)


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"])
@pytest.mark.parametrize("method", ["Documents/UpsertDocument", "Memories/ForgetMemory"])
async def test_bytes_that_do_not_parse_are_an_invalid_argument(
    client: Client, method: str, body: bytes
) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE"):
        await send(client, f"/palimpsest.v1.{method}", body)


async def test_bytes_that_do_not_parse_are_refused_by_streams_too(client: Client) -> None:
    call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = client.channel.unary_stream(
        "/palimpsest.v1.Documents/WatchDocument"
    )
    with refused(StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE"):
        async for _ in call(b"\xff\xff\xff"):
            raise AssertionError("an answer to nonsense")


async def test_bytes_are_not_looked_at_without_a_key(client: Client, connect: Connect) -> None:
    async with connect(key=None) as anonymous:
        with refused(StatusCode.UNAUTHENTICATED, "KEY_MISSING"):
            await send(anonymous, "/palimpsest.v1.Documents/GetDocument", b"\xff")


async def test_a_method_that_does_not_exist_is_unimplemented(client: Client) -> None:
    with refused(StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND"):
        await send(client, "/palimpsest.v1.Documents/Nothing", b"")


async def test_a_message_over_sixteen_mebibytes_is_refused(client: Client) -> None:
    items = [documents_pb2.UpsertDocumentRequest(content="x" * 1_000_000)] * 18
    request = documents_pb2.BatchUpsertDocumentsRequest(items=items)

    with pytest.raises(grpc.RpcError) as failed:
        await client.documents.BatchUpsertDocuments(request)

    assert failed.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert await client.ids() == []


async def test_a_message_just_under_sixteen_mebibytes_is_taken(client: Client) -> None:
    items = [documents_pb2.UpsertDocumentRequest(content="x" * 1_000_000)] * 16

    answer = await client.documents.BatchUpsertDocuments(
        documents_pb2.BatchUpsertDocumentsRequest(items=items)
    )

    assert len({outcome.receipt.id for outcome in answer.outcomes}) == 16


async def test_health_needs_no_key(client: Client, connect: Connect) -> None:
    async with connect(key=None) as anonymous:
        health = health_stub(anonymous.channel)
        for service in ("", *SERVICES):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
        watch = health.Watch(health_pb2.HealthCheckRequest())
        first = await watch.read()
        assert first.status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


async def test_health_of_an_unknown_service_is_not_found(client: Client) -> None:
    health = health_stub(client.channel)
    with refused(StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND"):
        await health.Check(health_pb2.HealthCheckRequest(service="palimpsest.v1.Nothing"))


async def test_reflection_needs_no_key_and_tells_the_contract(
    client: Client, connect: Connect
) -> None:
    async with connect(key=None) as anonymous:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(anonymous.channel)  # type: ignore[arg-type]  # synchronous channels alone, say the stubs
        call = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        (answer,) = [message async for message in call]

    listed = {service.name for service in answer.list_services_response.service}
    assert listed >= SERVICES | {"grpc.health.v1.Health"}


async def test_a_deadline_that_passes_is_the_callers_own(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        await client.documents.GetDocument(
            documents_pb2.GetDocumentRequest(id="x"), timeout=0.000_001
        )

    assert failed.value.code() is StatusCode.DEADLINE_EXCEEDED


async def test_cancelled_writes_have_their_whole_effect_or_none(client: Client) -> None:
    calls = [
        client.documents.UpsertDocument(
            documents_pb2.UpsertDocumentRequest(content=f"text {n}", custom_id=f"c{n}")
        )
        for n in range(40)
    ]
    await asyncio.wait([asyncio.ensure_future(calls[0])])
    for call in calls[1::2]:
        call.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    answered = {o.receipt.id for o in outcomes if not isinstance(o, BaseException)}
    pages = client.pages(include_content=True)
    stored = {item.id: item async for page in pages for item in page}
    assert answered <= set(stored)
    assert all(d.content == f"text {d.custom_id[1:]}" for d in stored.values())
    revisions = sorted(document.revision for document in stored.values())
    assert revisions == list(range(1, len(stored) + 1))


async def test_refusals_leak_nothing_of_the_machine(client: Client) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.put("secret-content", custom_id="x" * 101, title="secret-title")

    said = refusal.message + str(refusal.info)
    for leak in ("secret-content", "secret-title", "Traceback", "SELECT", "/", ".py"):
        assert leak not in said
