"""What is logged of calls: whose they were, by what way they came, and what they are called."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from palimpsest.v1.documents_pb2 import GetDocumentRequest
from tests.client import connected, refused
from tests.inprocess import ManualClock, Service, running_service
from tests.logged import logged
from tests.waiting import until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with logged("debug") as stream:
        yield stream


@pytest_asyncio.fixture
async def service(log: io.StringIO, directory: Path, clock: ManualClock) -> AsyncIterator[Service]:
    async with running_service(directory, clock, listen="127.0.0.1:0") as running:
        yield running


def lines(log: io.StringIO, event: str) -> list[dict[str, Any]]:
    parsed = map(json.loads, log.getvalue().splitlines())
    return [line for line in parsed if line["event"] == event]


async def test_a_call_line_says_whose_call_it_was(service: Service, log: io.StringIO) -> None:
    key = service.create_key(tenant="acme")
    metadata = (
        ("x-request-id", "order 66" + "x" * 1000),
        ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),
    )
    async with connected(service.address, key) as client:
        with refused(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
            await client.documents.GetDocument(GetDocumentRequest(id="nothing"), metadata=metadata)
    # The line is written after the answer is sent.
    await until(lambda: bool(lines(log, "call")))
    (line,) = lines(log, "call")
    assert line["tenant"] == "acme"
    assert line["key"] == key.split("_")[1]
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert line["x_request_id"] == "order 66" + "x" * 120
    assert line["trace_id"] == TRACE
    assert line["reason"] == "DOCUMENT_NOT_FOUND"
    assert key not in log.getvalue()


@pytest.mark.parametrize("kind", ["wrong", "revoked", "malformed"])
async def test_a_key_that_is_refused_is_a_warning(
    service: Service, log: io.StringIO, kind: str
) -> None:
    key = service.create_key()
    key_id = key.split("_")[1]
    if kind == "wrong":
        key = key[:-4] + "AAAA"
    elif kind == "revoked":
        service.revoke_key(key)
    else:
        key = "a secret of something else"
    async with connected(service.address, key) as client:
        with refused(grpc.StatusCode.UNAUTHENTICATED, "KEY_INVALID"):
            await client.get("nothing")
    (line,) = lines(log, "key refused")
    assert line["level"] == "warning"
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert line["key"] == ("" if kind == "malformed" else key_id)
    assert key not in log.getvalue()
