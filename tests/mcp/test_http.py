"""`/mcp`: the tools over streamable HTTP, on a running server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from mcp import Client as McpClient
from mcp import MCPError
from mcp.client.streamable_http import streamable_http_client

from palimpsest.v1.changes_pb2 import ListChangesRequest
from tests.client import connected
from tests.harness import REPOSITORY, Server, environment, running_server
from tests.mcp.agent import Agent
from tests.mcp.scenario import run_node, use_every_tool
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.processes

MIB = 1024 * 1024


def url(server: Server, query: str = "") -> str:
    return f"http://{server.http}/mcp{query}"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@asynccontextmanager
async def started(
    server: Server,
    key: str,
    *,
    headers: Mapping[str, str] | None = None,
    query: str = "",
    mode: Literal["auto", "legacy"] = "auto",
) -> AsyncIterator[Agent]:
    async with httpx2.AsyncClient(
        headers=bearer(key) | dict(headers or {}), timeout=HANG_SECONDS
    ) as http:
        transport = streamable_http_client(url(server, query), http_client=http)
        async with McpClient(transport, mode=mode) as client:
            yield Agent(client)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_each_tool_works_over_http(
    shared_server: Server, key: str, mode: Literal["auto", "legacy"]
) -> None:
    async with started(shared_server, key, mode=mode) as agent:
        await use_every_tool(agent)


def test_each_tool_works_over_http_with_the_sdk_of_node(shared_server: Server, key: str) -> None:
    run_node({"url": url(shared_server), "headers": bearer(key)})


async def test_two_users_at_once_do_not_meet(shared_server: Server) -> None:
    async def use(name: str) -> None:
        key = shared_server.create_key("--tenant", f"http-{name}")
        async with started(shared_server, key) as agent:
            for number in range(10):
                await agent.text("remember", content=f"{name} drinks tea number {number}")
                found = await agent.data("recall", query="tea", limit=50)
                assert len(found["results"]) == number + 1
                assert {result["text"].split()[0] for result in found["results"]} == {name}

    await asyncio.gather(use("Ann"), use("Bob"))


async def test_the_container_is_a_header_or_a_parameter(shared_server: Server, key: str) -> None:
    async with started(shared_server, key, headers={"palimpsest-container": "a"}) as agent:
        assert (await agent.data("remember", content="Tea"))["container"] == "a"
    async with started(shared_server, key, query="?container=user%3Ab") as agent:
        assert (await agent.data("remember", content="Tea"))["container"] == "user:b"
        assert (await agent.data("remember", content="Tea", container="c"))["container"] == "c"
    async with started(shared_server, key, query="?container=a%20b") as agent:
        error = await agent.error("context")
        assert error.startswith("the container of this connection: must match")


async def test_a_header_says_on_whose_behalf_an_agent_writes(
    shared_server: Server, key: str
) -> None:
    async with started(shared_server, key, headers={"palimpsest-actor": "agent 7"}) as agent:
        name = (await agent.data("remember", content="Tea"))["id"]
        new = (await agent.data("update", id=name, content="Coffee"))["id"]
    async with connected(shared_server.address, key) as client:
        page = await client.changes.ListChanges(ListChangesRequest())
        assert [(change.id, change.actor) for change in page.changes] == [
            (name, "agent 7"),
            (new, "agent 7"),
        ]
        assert (await client.memory(new)).actor == "agent 7"


async def test_a_header_that_can_be_no_actor_is_refused(shared_server: Server, key: str) -> None:
    answer = await post(shared_server, key, json.dumps(CALL), **{"palimpsest-actor": "x" * 201})
    assert answer.status_code == 400
    assert "palimpsest-actor" in answer.text
    async with connected(shared_server.address, key) as client:
        assert not (await client.changes.ListChanges(ListChangesRequest())).changes


CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "remember", "arguments": {"content": "Tea"}},
}
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


async def post(
    server: Server, key: str | None, content: str | bytes, **headers: str
) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=HANG_SECONDS) as http:
        sent = ACCEPT | ({} if key is None else bearer(key)) | headers
        return await http.post(url(server), content=content, headers=sent)


async def test_a_call_needs_no_session(shared_server: Server, key: str) -> None:
    answer = await post(shared_server, key, json.dumps(CALL))

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "mcp-session-id" not in answer.headers
    assert answer.json()["result"]["structuredContent"]["container"] == "default"


async def test_calls_without_a_valid_key_are_refused(shared_server: Server, key: str) -> None:
    assert (await post(shared_server, key, json.dumps(CALL))).status_code == 200
    assert shared_server.backend.revoke_key(key)

    for given in (None, "pal_nothing", key):
        answer = await post(shared_server, given, json.dumps(CALL))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_key_ends_an_agents_connection(shared_server: Server, key: str) -> None:
    async with started(shared_server, key, mode="legacy") as agent:
        await agent.text("remember", content="Tea")
        assert shared_server.backend.revoke_key(key)

        with pytest.raises(MCPError):
            await agent.text("recall", query="tea")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"no JSON", 400),
        (b"[]", 400),
        (b"[" * 10_000 + b"]" * 10_000, 400),
        (b'{"jsonrpc": "2.0"}', 400),
        (json.dumps(CALL).replace("Tea", "\\ud800").encode(), 400),
        (json.dumps(CALL).encode("utf-16"), 400),
        (json.dumps([CALL]).encode(), 400),
    ],
)
async def test_what_is_no_message_is_refused(
    shared_server: Server, key: str, content: bytes, status: int
) -> None:
    answer = await post(shared_server, key, content)

    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"content": 5},
        {"content": ["Tea"]},
        {"content": {"text": "Tea"}},
        {"content": "x" * 10_001},
        {"content": "Tea", "lasting": "perhaps"},
        {"content": "Tea", "forget_after": "tomorrow"},
        {"content": "Tea", "forget_after": 2**70},
        {"content": "Tea", "container": "x" * 101},
        {"content": "Tea", "x" * 10_000: 1},
    ],
)
async def test_arguments_of_wrong_types_are_errors_of_the_tool(
    shared_server: Server, key: str, arguments: dict[str, Any]
) -> None:
    call = CALL | {"params": {"name": "remember", "arguments": arguments}}
    answer = await post(shared_server, key, json.dumps(call))

    assert answer.status_code == 200
    result = answer.json()["result"]
    assert result["isError"]
    assert "INVALID_REQUEST" in result["content"][0]["text"]
    assert len(result["content"][0]["text"]) < 1000


def test_the_library_is_loaded_by_the_first_request() -> None:
    """It takes more time and memory than the rest of a server's start may."""
    program = "import sys, service.app; print({'mcp', 'starlette', 'jwt'} & set(sys.modules))"
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


async def test_a_server_that_served_agents_stops_in_order(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with started(server, server.key) as agent:
            await agent.text("remember", content="Tea")
            assert await asyncio.to_thread(server.stop) == 0
        log = server.log.read_text()
    assert "[error" not in log
    assert "[warning" not in log
    assert "Traceback" not in log


async def test_http_has_its_bounds(shared_server: Server, key: str) -> None:
    large = json.dumps(CALL).encode() + b" " * 17 * MIB
    assert (await post(shared_server, key, large)).status_code == 413
    fits = json.dumps(CALL).encode() + b" " * 15 * MIB
    assert (await post(shared_server, key, fits)).status_code == 200
    text = await post(shared_server, key, json.dumps(CALL), **{"content-type": "text/plain"})
    assert text.status_code == 415
    async with httpx2.AsyncClient(headers=bearer(key)) as http:
        for verb in ("GET", "DELETE"):
            answer = await http.request(verb, url(shared_server))
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
