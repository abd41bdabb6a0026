"""The tools behind the SDK's server, whatever messages come over."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from service.core.errors import PalimpsestError, Reason, Violation, describe, invalid
from service.mcp.arguments import read
from service.mcp.connection import Connection
from service.mcp.rpcs import UnreachableError
from service.mcp.schemas import schema_of
from service.mcp.tools import INSTRUCTIONS, TOOLS, Tool

Context = ServerRequestContext[Any, Any]

_TOOLS: Final = {tool.name: tool for tool in TOOLS}

_log: Final = logging.getLogger("palimpsest.mcp")

_HINTS: Final = {
    Reason.KEY_READ_ONLY: "Tell the user: this connection can only read.",
    Reason.CONTAINER_NOT_ALLOWED: "Leave the argument container out; if it is out, the user "
    "has to set the container of this connection.",
    Reason.MEMORY_NOT_FOUND: "Take an id that recall answers.",
    Reason.MEMORY_FORGOTTEN: "The tool for that is undo.",
}

# The contract's names of what the tools call otherwise.
_FIELDS: Final = {
    "container_tag": "container",
    "container_tags": "container",
    "custom_id": "name",
    "forget_batch_id": "id",
    "new_content": "content",
}


def make_server(connection_of: Callable[[Context], Connection]) -> Server[Any]:
    """A server of all tools.

    Args:
        connection_of: Whose call a message is.
    """

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> Any:
        return types.ListToolsResult(tools=_LISTED)

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> Any:
        tool = _TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no such tool; take {', '.join(_TOOLS)}")
        return await _call(tool, connection_of(context), params.arguments or {})

    return Server(
        "palimpsest",
        version=version("palimpsest-memory"),
        title="Palimpsest",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _call(
    tool: Tool, connection: Connection, arguments: dict[str, Any]
) -> types.CallToolResult:
    try:
        answer = await tool.run(connection, read(tool.arguments, arguments))
    except PalimpsestError as error:
        return _error(_explained(error))
    except UnreachableError as error:
        return _error(str(error))
    except Exception as error:  # noqa: BLE001  (whatever it is, the agent is told)
        _log.error("the tool %s failed\n%s", tool.name, "\n".join(describe(error)))
        return _error("The service failed; its log says more.")
    structured = answer.structured
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=answer.text)],
        structured_content=None if structured is None else structured.model_dump(mode="json"),
    )


def _error(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


def _explained(error: PalimpsestError) -> str:
    """Our message, with the names that the tools use, and what the agent can do."""
    message = error.message
    if error.reason is Reason.INVALID_REQUEST and error.violations:
        message = invalid([Violation(_field(v.field), v.rule) for v in error.violations]).message
    hint = _HINTS.get(error.reason, "")
    return f"{message.rstrip('.')} ({error.reason.name}).{' ' + hint if hint else ''}"


def _field(path: str) -> str:
    """What a tool calls a field of the contract: "memories[0].content" is "content"."""
    name = re.sub(r"\[\d+\]", "", path.rpartition(".")[2])
    return _FIELDS.get(name, name)


def _listed(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=schema_of(tool.arguments),
        output_schema=None if tool.answer is None else schema_of(tool.answer, output=True),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.reads,
            destructive_hint=tool.destroys,
            idempotent_hint=tool.reads or tool.repeats,
            open_world_hint=False,
        ),
    )


_LISTED: Final = [_listed(tool) for tool in TOOLS]
