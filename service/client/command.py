"""The commands that speak to a running server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from service.settings import ENV_PREFIX, Settings, check_port

if TYPE_CHECKING:
    from service.client.connection import Target
    from service.client.importing import Summary

Command = TypeVar("Command", bound=Callable[..., Any])

KEY_VARIABLE = f"{ENV_PREFIX}KEY"
_SHOWN_FAILURES = 20


def connection_options(command: Command) -> Command:
    """`address`, `key_file` and `tls_ca`, as `target` takes them."""
    defaults = Settings.model_fields
    options: tuple[Callable[[Command], Command], ...] = (
        click.option(
            "--tls-ca",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            envvar=f"{ENV_PREFIX}TLS_CA",
            show_envvar=True,
            help="PEM file of whoever signed the server's certificate; without it, no TLS.",
        ),
        click.option(
            "--key-file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            envvar=f"{ENV_PREFIX}KEY_FILE",
            show_envvar=True,
            help=f"File with the key; without it the key in {KEY_VARIABLE}, else the first key "
            "of a server that was started in this folder.",
        ),
        click.option(
            "--address",
            envvar=f"{ENV_PREFIX}ADDRESS",
            default=defaults["listen"].default,
            show_default=True,
            show_envvar=True,
            help="Where the server is: `host:port` or `unix:path`.",
        ),
    )
    for option in options:
        command = option(command)
    return command


def target(address: str, key_file: Path | None, tls_ca: Path | None) -> Target:
    """The server that the options name, with the key to use there."""
    from service.client.connection import Target

    try:
        check_port(address)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from error
    key = None if key_file is not None else os.environ.get(KEY_VARIABLE)
    data_dir = os.environ.get(f"{ENV_PREFIX}DATA_DIR", Settings.model_fields["data_dir"].default)
    first = Path(data_dir) / "first-key"
    if key is None and (key_file is not None or first.exists()):
        key = (key_file or first).read_text().strip()
    return Target(address, key, None if tls_ca is None else tls_ca.read_bytes())


@click.command("import")
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True),
)
@click.option("--container", required=True, help="The container that the documents go to.")
@connection_options
def import_command(
    paths: tuple[Path, ...],
    container: str,
    address: str,
    key_file: Path | None,
    tls_ca: Path | None,
) -> None:
    """Upload files of text, Markdown and HTML, and those in folders, to a running server.

    Each becomes a document whose custom id is made of its path, seen from here; a
    further import uploads only what has changed. Files are known by their suffixes
    (.txt, .text, .md, .markdown, .html, .htm); hidden ones are left out.
    """
    from service.client.connection import ServerError, connected
    from service.client.files import find
    from service.client.importing import import_files

    found = find(paths, Path.cwd())
    try:
        with (
            connected(target(address, key_file, tls_ca)) as connection,
            click.progressbar(length=len(found.sources), label="Importing", file=sys.stderr) as bar,
        ):
            summary = import_files(connection, container, found, bar.update)
    except (ServerError, OSError) as error:
        raise click.ClickException(
            f"{error}. What was uploaded before stays; run the command again to go on."
        ) from error
    _report(summary)
    if summary.failed:
        raise SystemExit(1)


def _report(summary: Summary) -> None:
    for name, reason in summary.failed[:_SHOWN_FAILURES]:
        click.echo(f"{name}: {reason}", err=True)
    if len(summary.failed) > _SHOWN_FAILURES:
        click.echo(f"… and {len(summary.failed) - _SHOWN_FAILURES} more", err=True)
    if summary.failed:
        click.echo("Mend these and run the command again: only they are uploaded.", err=True)
    click.echo(
        f"{summary.new} new, {summary.changed} changed, {summary.unchanged} unchanged, "
        f"{len(summary.failed)} failed"
    )
    if summary.skipped.total():
        listed = ", ".join(f"{count} {why}" for why, count in sorted(summary.skipped.items()))
        click.echo(f"Left out: {listed}")


@click.command("search")
@click.argument("query")
@click.option(
    "--container",
    "containers",
    multiple=True,
    help="Where to look; repeat for several. Without it, the container `default`.",
)
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--memories", is_flag=True, help="Look through memories instead of documents.")
@connection_options
def search_command(
    query: str,
    containers: tuple[str, ...],
    limit: int,
    memories: bool,
    address: str,
    key_file: Path | None,
    tls_ca: Path | None,
) -> None:
    """Find what fits QUERY, by words and meaning, on a running server.

    Each result begins with its score, from 0 to 1.
    """
    from service.client.connection import ServerError, connected
    from service.client.searching import search_documents, search_memories

    look = search_memories if memories else search_documents
    try:
        with connected(target(address, key_file, tls_ca)) as connection:
            results = look(connection, query, containers, limit)
    except (ServerError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for result in results:
        click.echo(f"{result.score:.2f}  {result.source}")
        click.echo(f"      {result.text}\n")
    if not results:
        click.echo("Nothing found.", err=True)
