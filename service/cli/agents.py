"""The command that agents start."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from service.cli.target_options import target_options
from service.settings import ENV_PREFIX

if TYPE_CHECKING:
    from service.client.target import Target


@click.command("mcp")
@click.option(
    "--container",
    envvar=f"{ENV_PREFIX}CONTAINER",
    default="default",
    show_default=True,
    show_envvar=True,
    help="What the tools are about, unless the agent names another container.",
)
@target_options(with_key=True)
def mcp_command(container: str, target: Target) -> None:
    """Tools for agents (MCP) on standard input and output, from a running server.

    Agents start this by themselves; see service/MCP.md for their settings.
    """
    from service.core.errors import PalimpsestError
    from service.mcp.connection import check_container

    try:
        check_container(container, "--container")
    except PalimpsestError as error:
        raise click.UsageError(str(error)) from error
    # The thread that waits for input cannot be woken: the process ends as it is.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(container, target))


async def _serve(container: str, target: Target) -> None:
    from service.client.rpcs import opened
    from service.mcp import stdio
    from service.mcp.connection import Connection

    async with opened(target) as rpcs:
        await stdio.serve(Connection(rpcs, container))
