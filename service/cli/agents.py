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
@click.option(
    "--actor",
    envvar=f"{ENV_PREFIX}ACTOR",
    show_envvar=True,
    help="On whose behalf the agent writes: 1 to 200 printable characters of ASCII, which the "
    "change feed shows.",
)
@target_options(with_key=True)
def mcp_command(container: str, actor: str | None, target: Target) -> None:
    """Tools for agents (MCP) on standard input and output, from a running server.

    Agents start this by themselves; see service/MCP.md for their settings.
    """
    from service.core.actors import check_actor
    from service.core.errors import PalimpsestError
    from service.mcp.connection import check_container

    try:
        check_container(container, "--container")
        if actor is not None:
            check_actor(actor, "--actor")
    except PalimpsestError as error:
        raise click.UsageError(str(error)) from error
    # The thread that waits for input cannot be woken: the process ends as it is.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(container, actor or "", target))


async def _serve(container: str, actor: str, target: Target) -> None:
    from service.client.rpcs import opened
    from service.mcp import stdio
    from service.mcp.connection import Connection

    async with opened(target, actor) as rpcs:
        await stdio.serve(Connection(rpcs, container))
