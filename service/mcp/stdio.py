"""The tools over standard input and output, for an agent that starts the process."""

from __future__ import annotations

import logging

from mcp.server.stdio import stdio_server

from service.mcp.connection import Connection
from service.mcp.server import make_server


async def serve(connection: Connection) -> None:
    """Answers messages until standard input ends. Nothing else reaches standard output."""
    logging.getLogger("mcp").setLevel(logging.ERROR)  # warnings name what the agent sent
    server = make_server(lambda _: connection)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
