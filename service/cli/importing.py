"""The command that imports files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from service.cli.target_options import target_options

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

    from service.client.importing.files import Remark
    from service.client.importing.pruning import Pruned
    from service.client.importing.run import Summary
    from service.client.target import Target

_NAMED = 20
"""How many files of a kind are named, without `-v`."""


@click.command("import")
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True),
)
@click.option("--container", required=True, help="The container that the documents go to.")
@click.option(
    "--as",
    "name",
    help="Call the folder by this name: it is the same wherever it is moved to.",
    callback=lambda _, __, value: _root_name(value),
)
@click.option(
    "--prune",
    is_flag=True,
    help="Delete documents that were imported from these folders and whose files are gone.",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.IntRange(10, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait at the end until what was uploaded can be found.",
)
@click.option("-v", "--verbose", is_flag=True, help="Name all files that are told about.")
@target_options(with_key=True)
def import_command(
    paths: tuple[Path, ...],
    container: str,
    name: str | None,
    prune: bool,
    wait_seconds: int,
    verbose: bool,
    target: Target,
) -> None:
    """Upload text, Markdown, HTML, PDF and Word files, and those in folders, to a server.

    Each becomes a document that is called by its path in the folder that is imported, with
    the folder's own name in front (notes/trips/oslo.md), from wherever the command runs. A
    further import uploads only what has changed, and says what is no longer there.

    In folders, Markdown, HTML, PDF, Word (DOCX), plain text, source code, data and settings
    are recognised by their suffixes; files without one (README) are read as text; hidden
    ones are left out. A file that is named itself is read as text if its suffix is unknown.
    Text is UTF-8, or has a byte order mark; HTML may declare another encoding.
    """
    from service.client.channel import ServerError
    from service.client.connection import connected
    from service.client.importing.files import find
    from service.client.importing.recognition import AmbiguousRootError
    from service.client.importing.run import import_files

    if name is not None and (len(paths) > 1 or not paths[0].is_dir()):
        raise click.UsageError("--as is for one folder; import other paths by themselves")
    found = find(paths, name)
    try:
        with connected(target) as connection, _Bar.shown(len(found.sources)) as bar:
            summary = import_files(
                connection,
                container,
                found,
                Path.cwd(),
                bar,
                prune_gone=prune,
                wait_seconds=wait_seconds,
            )
    except AmbiguousRootError as error:
        raise click.ClickException(f"{error}. Nothing was uploaded.") from error
    except (ServerError, OSError) as error:
        raise click.ClickException(
            f"{error}. What was uploaded before stays; run the command again to go on."
        ) from error
    _report(summary, None if verbose else _NAMED)
    if summary.failed:
        raise SystemExit(1)


def _root_name(value: str | None) -> str | None:
    from service.client.importing.roots import clean

    if value is not None and (not value or "/" in value or value != clean(value)):
        raise click.BadParameter("must be a name without slashes and control characters")
    return value


class _Bar:
    """A progress bar; without a terminal, a line for each stage."""

    def __init__(self, bar: ProgressBar[int]) -> None:
        self._bar = bar

    @classmethod
    @contextmanager
    def shown(cls, files: int) -> Iterator[Self]:
        with click.progressbar(length=files, label="Comparing", file=sys.stderr) as bar:
            yield cls(bar)

    def stage(self, label: str) -> None:
        self._bar.label = label
        self._bar.render_progress()

    def advance(self, files: int) -> None:
        self._bar.update(files)


def _report(summary: Summary, shown: int | None) -> None:
    _list([f"{name}: {reason}" for name, reason in summary.failed], shown, err=True)
    if summary.failed:
        click.echo("Mend these and run the command again: only they are uploaded.", err=True)
    click.echo(
        f"{summary.new} new, {summary.changed} changed, {summary.unchanged} unchanged, "
        f"{len(summary.failed)} failed"
    )
    if summary.processing:
        click.echo(f"Still being processed: {summary.processing}; they are found when that is done")
    if summary.textless:
        click.echo(f"Without any text, so not to be found: {len(summary.textless)}")
        _list(summary.textless, shown)
    if summary.left_out:
        _report_left_out(summary.left_out, shown)
    _report_gone(summary.gone, shown)
    if summary.unrecognised:
        click.echo(
            f"Imported by an earlier release and not recognised: {len(summary.unrecognised)}; "
            "import them from the folder where they were imported then"
        )
        _list(summary.unrecognised, shown)


def _report_gone(gone: Pruned, shown: int | None) -> None:
    if gone.taken:
        click.echo(f"Taken away: {len(gone.taken)} whose files are no longer there")
        _list(gone.taken, shown)
    if gone.left:
        advice = f"not taken away: {gone.reason}" if gone.reason else "--prune takes them away"
        click.echo(f"No longer there, but still found: {len(gone.left)}; {advice}")
        _list(gone.left, shown)


def _report_left_out(left_out: Sequence[Remark], shown: int | None) -> None:
    from service.client.importing.files import HIDDEN, UNKNOWN_KIND

    counts = Counter(remark.reason for remark in left_out)
    click.echo(f"Left out: {', '.join(f'{counts[why]} {why}' for why in sorted(counts))}")
    # What was to be expected comes last, and the hidden ones only with -v.
    order = {UNKNOWN_KIND: 1, HIDDEN: 2}
    named = [remark for remark in left_out if shown is None or remark.reason != HIDDEN]
    named.sort(key=lambda remark: order.get(remark.reason, 0))
    _list([f"{name}: {reason}" for name, reason in named], shown)


def _list(lines: Sequence[str], shown: int | None, *, err: bool = False) -> None:
    """At most `shown` of them, or all."""
    for line in lines[:shown]:
        click.echo(f"  {line}", err=err)
    if shown is not None and len(lines) > shown:
        click.echo(f"  … and {len(lines) - shown} more; -v names all", err=err)
