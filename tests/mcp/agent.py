"""What agents' tests do with a client of the protocol's SDK."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp import Client
from mcp.types import CallToolResult, TextContent


@dataclass(frozen=True)
class Agent:
    """A client, and shorthands for calls of tools."""

    client: Client

    async def text(self, tool: str, **arguments: Any) -> str:
        """The text that a tool answers."""
        return text_of(await self._done(tool, arguments))

    async def data(self, tool: str, **arguments: Any) -> Any:
        """The data that a tool answers."""
        return (await self._done(tool, arguments)).structured_content

    async def error(self, tool: str, **arguments: Any) -> str:
        """What a tool says that fails."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, text_of(result)
        return text_of(result)

    async def _done(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, text_of(result)
        return result


def text_of(result: CallToolResult) -> str:
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text
