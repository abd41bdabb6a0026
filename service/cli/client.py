"""The commands that ask a running server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from service.cli.target_options import target_options

if TYPE_CHECKING:
    from service.client.target import Target


@click.command("search")
@click.argument("query")
@click.option(
    "--container",
    "containers",
    multiple=True,
    help="Where to look; repeat for several. Without it, everywhere that the key may see.",
)
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option(
    "--must-contain",
    multiple=True,
    metavar="PHRASE",
    help="Find only what contains this, word for word; repeat for several. Double quotes in "
    "QUERY mean the same.",
)
@click.option(
    "--must-not-contain",
    multiple=True,
    metavar="PHRASE",
    help="Find only what does not contain this; repeat for several.",
)
@click.option("--memories", is_flag=True, help="Look through memories instead of documents.")
@target_options(with_key=True)
def search_command(
    query: str,
    containers: tuple[str, ...],
    limit: int,
    must_contain: tuple[str, ...],
    must_not_contain: tuple[str, ...],
    memories: bool,
    target: Target,
) -> None:
    """Find what fits QUERY, by words and meaning, on a running server.

    Each result begins with its score, from 0 to 1.
    """
    from service.client.channel import ServerError
    from service.client.connection import connected
    from service.client.searching import Question, search_documents, search_memories

    search = search_memories if memories else search_documents
    question = Question(query, containers, limit, must_contain, must_not_contain)
    try:
        with connected(target) as connection:
            results = search(connection, question)
    except (ServerError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for result in results:
        click.echo(f"{result.score:.2f}  {result.source}")
        click.echo(f"      {result.text}\n")
    if not results:
        click.echo("Nothing found.", err=True)


@click.command("health")
@click.option(
    "--service",
    default="",
    help="Full name of one service, such as palimpsest.v1.Documents; without it, the server.",
)
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(min=0, max=3600, min_open=True),
    callback=lambda _, __, value: _finite(value),
    default=5.0,
    show_default=True,
    help="Seconds to wait for the answer.",
)
@target_options(with_key=False)
def health_command(service: str, seconds: float, target: Target) -> None:
    """Ask a server whether it is serving; needs no key.

    Exits with 0 if it is, 1 if it is not or cannot be reached, 2 on wrong usage.
    """
    from service.client.channel import ServerError
    from service.client.health import check

    try:
        status = check(target, service, seconds)
    except ServerError as error:
        raise click.ClickException(str(error)) from error
    click.echo(status)
    if status != "SERVING":
        raise SystemExit(1)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter("must be a number of seconds")
    return value
