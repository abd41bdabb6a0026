"""Web pages of the origins that are named may call, and no others."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.inprocess import ManualClock, running_service

ALLOWED = "https://app.example"
OTHER = "https://app.example.evil"


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Calls with a key."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder:
        socket = Path(folder) / "http"
        async with (
            running_service(
                Path(folder),
                ManualClock(),
                workers=1,
                http=f"unix:{socket}",
                http_origins=f"https://first.example,{ALLOWED}",
            ) as service,
            httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(socket)),
                base_url="http://localhost",
                headers={"authorization": f"Bearer {service.create_key()}"},
                timeout=None,
            ) as opened,
        ):
            yield opened


async def test_a_browser_may_ask_first(client: httpx.AsyncClient) -> None:
    asked = await client.options("/v1/documents", headers={"origin": ALLOWED})
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == ALLOWED
    assert "PATCH" in asked.headers["access-control-allow-methods"]
    for header in (
        *("authorization", "content-type", "idempotency-key", "if-match", "last-event-id"),
        "traceparent",
    ):
        assert header in asked.headers["access-control-allow-headers"]


@pytest.mark.parametrize("path", ["/v1/documents/note", "/v1/documents/note:watch"])
@pytest.mark.parametrize("name", ["note", "missing"])
async def test_answers_events_and_errors_may_be_read(
    client: httpx.AsyncClient, path: str, name: str
) -> None:
    note = {"content": "x", "customId": "note", "wait": True}
    assert (await client.post("/v1/documents", json=note)).status_code == 200
    path = path.replace("note", name)
    answer = await client.get(path, headers={"origin": ALLOWED})
    assert answer.status_code == (200 if name == "note" else 404)
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert answer.headers["vary"] == "origin"
    assert "etag" in answer.headers["access-control-expose-headers"]


async def test_pages_of_other_origins_may_read_nothing(client: httpx.AsyncClient) -> None:
    for origin in (OTHER, "null", "https://app.example:8443", "http://app.example"):
        asked = await client.options("/v1/documents", headers={"origin": origin})
        answer = await client.get("/v1/containers", headers={"origin": origin})
        assert asked.status_code == 405
        for one in (asked, answer):
            assert not [name for name in one.headers if name.startswith("access-control")]
