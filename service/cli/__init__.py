"""The command line.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 `check` or `backup` found faults.
"""

from __future__ import annotations

import click

from service.cli import agents, client, database, importing, keys, serve, webhooks
from service.cli.errors import FINDINGS

__all__ = ["FINDINGS", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="palimpsest-memory", prog_name="palimpsest")
def main() -> None:
    """A self-hosted memory service for agents, over gRPC, HTTP and MCP."""


for _command in (
    serve.serve,
    keys.keys,
    webhooks.webhooks,
    database.migrate,
    database.check,
    database.backup,
    database.scrub,
    database.reindex,
    client.health_command,
    importing.import_command,
    client.search_command,
    agents.mcp_command,
):
    main.add_command(_command)
