"""The command that imports files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.target_options import target_options

if TYPE_CHECKING:
    from service.client.importing.files import Remark
    from service.client.importing.run import Summary
    from service.client.target import Target

_NAMED = 20
"""How many files are named, without `-v`."""


@click.command("import")
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True),
)
@click.option("--container", required=True, help="The container that the documents go to.")
@click.option("-v", "--verbose", is_flag=True, help="Name every file that is left out or fails.")
@target_options(with_key=True)
def import_command(
    paths: tuple[Path, ...],
    container: str,
    verbose: bool,
    target: Target,
) -> None:
    """Upload files of text, Markdown and HTML, and those in folders, to a running server.

    Each becomes a document whose custom id is derived from its path relative to the
    current folder; a further import uploads only what has changed.

    In folders, Markdown, HTML, plain text, source code, data and settings are recognised
    by their suffixes; files without one (README) are read as text; hidden ones are left
    out. A file that is named itself is read whatever its suffix. Text is UTF-8, or has a
    byte order mark; HTML may declare another encoding.
    """
    from service.client.channel import ServerError
    from service.client.connection import connected
    from service.client.importing.files import find
    from service.client.importing.run import import_files

    found = find(paths, Path.cwd())
    try:
        with (
            connected(target) as connection,
            click.progressbar(length=len(found.sources), label="Importing", file=sys.stderr) as bar,
        ):
            summary = import_files(connection, container, found, bar.update)
    except (ServerError, OSError) as error:
        raise click.ClickException(
            f"{error}. What was uploaded before stays; run the command again to go on."
        ) from error
    _report(summary, None if verbose else _NAMED)
    if summary.failed:
        raise SystemExit(1)


def _report(summary: Summary, shown: int | None) -> None:
    _list(summary.failed, shown, err=True)
    if summary.failed:
        click.echo("Mend these and run the command again: only they are uploaded.", err=True)
    click.echo(
        f"{summary.new} new, {summary.changed} changed, {summary.unchanged} unchanged, "
        f"{len(summary.failed)} failed"
    )
    if summary.left_out:
        _report_left_out(summary.left_out, shown)


def _report_left_out(left_out: Sequence[Remark], shown: int | None) -> None:
    from service.client.importing.files import HIDDEN, UNKNOWN_KIND

    counts = Counter(remark.reason for remark in left_out)
    click.echo(f"Left out: {', '.join(f'{counts[why]} {why}' for why in sorted(counts))}")
    # What was to be expected comes last, and the hidden ones only with -v.
    order = {UNKNOWN_KIND: 1, HIDDEN: 2}
    named = [remark for remark in left_out if shown is None or remark.reason != HIDDEN]
    _list(sorted(named, key=lambda remark: order.get(remark.reason, 0)), shown)


def _list(remarks: Sequence[Remark], shown: int | None, *, err: bool = False) -> None:
    """At most `shown` of them, or all."""
    for name, reason in remarks[:shown]:
        click.echo(f"  {name}: {reason}", err=err)
    if shown is not None and len(remarks) > shown:
        click.echo(f"  … and {len(remarks) - shown} more; -v names all", err=err)
