"""`palimpsest mcp`, as agents start it, on a running server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters

from tests.client import connected
from tests.harness import REPOSITORY, Server, environment
from tests.mcp.agent import Agent
from tests.mcp.scenario import run_node, use_every_tool
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.processes

COMMAND = ["-m", "service", "mcp"]
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def settings(address: str, key: str, *options: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=[*COMMAND, "--address", address, *options],
        env=environment() | {"PALIMPSEST_KEY": key},
        cwd=REPOSITORY,
    )


@asynccontextmanager
async def started(
    address: str, key: str, *options: str, mode: Literal["auto", "legacy"] = "auto"
) -> AsyncIterator[Agent]:
    parameters = settings(address, key, *options)
    async with McpClient(parameters, mode=mode, read_timeout_seconds=HANG_SECONDS) as client:
        yield Agent(client)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_each_tool_works_over_stdio(
    shared_server: Server, key: str, mode: Literal["auto", "legacy"]
) -> None:
    async with started(shared_server.address, key, mode=mode) as agent:
        await use_every_tool(agent)


def test_each_tool_works_over_stdio_with_the_sdk_of_node(shared_server: Server, key: str) -> None:
    run_node(settings(shared_server.address, key).model_dump(mode="json"))


async def test_two_users_do_not_meet(shared_server: Server) -> None:
    keys = [shared_server.create_key("--tenant", name) for name in ("stdio-ann", "stdio-bob")]
    one = started(shared_server.address, keys[0])
    two = started(shared_server.address, keys[1])
    async with one as ann, two as bob:
        made = await ann.data("remember", content="Ann drinks tea")
        assert await bob.text("recall", query="tea") == "Nothing fits."
        assert "MEMORY_NOT_FOUND" in await bob.error("history", id=made["id"])


async def test_the_container_is_a_setting(shared_server: Server, key: str) -> None:
    async with started(shared_server.address, key, "--container", "a") as agent:
        assert (await agent.data("remember", content="Tea"))["container"] == "a"


async def test_the_actor_is_a_setting(shared_server: Server, key: str) -> None:
    async with started(shared_server.address, key, "--actor", "agent 7") as agent:
        name = (await agent.data("remember", content="Tea"))["id"]
    async with connected(shared_server.address, key) as client:
        assert (await client.memory(name)).actor == "agent 7"


async def test_a_revoked_key_is_told(shared_server: Server, key: str) -> None:
    async with started(shared_server.address, key) as agent:
        await agent.text("remember", content="Ann drinks tea")
        assert shared_server.backend.revoke_key(key)

        assert "--key-file" in await agent.error("recall", query="tea")


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'none'}"
    async with started(address, "key") as agent:
        error = await agent.error("context")

    assert error.startswith(f"no server is serving at {address}")


def test_standard_output_has_the_protocol_and_nothing_else(shared_server: Server, key: str) -> None:
    called = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {
            "name": "remember",
            "arguments": {"content": "Ann\ndrinks tea \N{TEACUP WITHOUT HANDLE}"},
        },
    }
    lines = [
        json.dumps(INITIALIZE),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        "no JSON at all",
        "[" * 10_000,
        '{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": 5}}',
        json.dumps(called),
    ]
    process = talk(shared_server, key)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join(lines) + "\n")
    process.stdin.flush()
    answers: list[dict[str, Any]] = []
    while not any(answer.get("id") == 2 for answer in answers):
        answers.append(json.loads(process.stdout.readline()))
    rest, errors = process.communicate(timeout=HANG_SECONDS)

    assert process.returncode == 0, errors
    assert (rest, errors) == ("", "")
    assert all(answer["jsonrpc"] == "2.0" for answer in answers)
    by_id = {answer["id"]: answer for answer in answers if "id" in answer}
    assert by_id[1]["result"]["serverInfo"]["name"] == "palimpsest"
    assert by_id[2]["result"]["structuredContent"]["id"].startswith("mem_")
    assert "error" in by_id[3]


def test_a_container_that_cannot_be_one_is_refused(shared_server: Server, key: str) -> None:
    process = talk(shared_server, key, "--container", "a b")
    output, errors = process.communicate(timeout=HANG_SECONDS)

    assert (process.returncode, output) == (2, "")
    assert "--container: must match" in errors


@pytest.mark.parametrize("actor", ["", "Zoë", "x" * 201])
def test_an_actor_that_cannot_be_one_is_refused(
    shared_server: Server, key: str, actor: str
) -> None:
    process = talk(shared_server, key, "--actor", actor)
    output, errors = process.communicate(timeout=HANG_SECONDS)

    assert (process.returncode, output) == (2, "")
    assert "--actor: must be 1 to 200" in errors


def talk(server: Server, key: str, *options: str) -> subprocess.Popen[str]:
    arguments: Sequence[str] = [*COMMAND, "--address", server.address, *options]
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment(), "PALIMPSEST_KEY": key},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
