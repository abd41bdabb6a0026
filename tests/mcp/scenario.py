"""Each tool once, over whatever an agent is connected by."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError

from tests import node
from tests.mcp.agent import Agent

PROJECT = Path(__file__).parent / "node"


async def use_every_tool(agent: Agent) -> None:
    assert len((await agent.client.list_tools()).tools) == 8
    made = await agent.data("remember", content="Ann drinks green tea")
    assert made["id"] in await agent.text("recall", query="green tea")
    assert "- Ann drinks green tea" in await agent.text("context")
    updated = await agent.data("update", id=made["id"], content="Ann drinks coffee")
    history = await agent.data("history", id=made["id"])
    assert [version["id"] for version in history["versions"]] == [updated["id"], made["id"]]
    preview = await agent.data("forget", query="coffee")
    assert [match["id"] for match in preview["preview"]] == [updated["id"]]
    done = await agent.data("forget", ids=[updated["id"]])
    assert await agent.text("context") == "Nothing is remembered yet."
    await agent.text("undo", id=done["undo_id"])
    assert "- Ann drinks coffee" in await agent.text("context")
    await agent.text("add_document", content="Pour water of eighty degrees.", wait=True)
    assert "eighty degrees" in await agent.text("recall", query="eighty degrees")
    assert "MEMORY_NOT_LATEST" in await agent.error("update", id=made["id"], content="x")
    assert (await agent.error("remember", content="")).startswith("content: ")
    with pytest.raises(MCPError, match="There is no such tool"):
        await agent.text("nothing")


def run_node(settings: Mapping[str, Any]) -> None:
    """The same with the SDK of another language."""
    node.install(PROJECT)

    output = node.run(PROJECT, "client.js", json.dumps(settings))

    promised = re.findall(r"\[(lists, .+)\]", (PROJECT / "client.js").read_text())
    assert re.findall(r"^kept: (\w+)$", output, re.MULTILINE) == promised[0].split(", ")
