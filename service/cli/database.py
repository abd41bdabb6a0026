"""Commands that maintain the database: migrate, check, back up, scrub and reindex it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from service.cli.data_dir import (
    existing_database,
    keep_temporary_files_in,
    new_or_existing_database,
)
from service.cli.errors import FINDINGS, explained
from service.cli.options import database_options, setting_options, settings_of
from service.core.database_location import DatabaseLocation


@click.command()
@database_options
def migrate(location: DatabaseLocation) -> None:
    """Create the database, or migrate an older one to this release's schema.

    `serve` does so as well; this does it at a time of your choosing.
    """
    with explained():
        before, after = new_or_existing_database(location).migrate()
    if before is None:
        click.echo(f"Made the database, with schema {after}.")
    elif before == after:
        click.echo(f"The database already has schema {after}.")
    else:
        click.echo(f"Migrated the database from schema {before} to {after}.")


@click.command()
@database_options
def check(location: DatabaseLocation) -> None:
    """Verify the database on a snapshot; a server may run, and nothing is written.

    Its pages, every digest, every invariant, and that nothing acknowledged is missing.
    """
    from service.storage import opening

    there = (
        opening.administration(location) if _left_traces(location) else existing_database(location)
    )
    with explained():
        findings = there.check(_progress)
    if findings:
        _fail_with(
            findings,
            f"Stop the server, keep a copy of {_kept_by(location)}, "
            "and put back the last backup that `palimpsest check` finds well.",
        )
    click.echo("All is well.")


def _left_traces(location: DatabaseLocation) -> bool:
    """Whether a database left traces, though it may be gone."""
    if location.server is not None:
        return False
    from service.storage.sqlite import presence

    return bool(presence.traces(location.path))


def _kept_by(location: DatabaseLocation) -> str:
    """What an operator copies to keep the database as it is."""
    return str(location.path.parent) if location.server is None else "the database"


def _fail_with(findings: Sequence[str], advice: str) -> NoReturn:
    for finding in findings:
        click.echo(finding)
    click.echo(f"{len(findings)} found. {advice}", err=True)
    raise SystemExit(FINDINGS)


@click.command()
@database_options
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def backup(location: DatabaseLocation, target: Path) -> None:
    """Write a consistent and verified copy to TARGET, a new file; a server may run.

    A damaged database is not copied: what was found is listed, with exit code 3.
    """
    from service.storage.administration import DamagedSourceError

    database = existing_database(location)
    shown = -1

    def progress(done: int, total: int) -> None:
        nonlocal shown
        percent = 100 * done // max(total, 1)
        if percent // 10 > shown // 10 or shown < 0:
            shown = percent
            _progress(f"{percent} % copied")

    with explained():
        try:
            database.backup(target, progress, _progress)
        except DamagedSourceError as error:
            _fail_with(
                error.findings,
                f"The database is damaged and {target} was not written. Stop the server, keep a "
                f"copy of {_kept_by(location)}, and put back the last sound backup.",
            )
    click.echo(f"Wrote {target}. Keys are in it as hashes; guard it like the database itself.")


@click.command()
@database_options
def scrub(location: DatabaseLocation) -> None:
    """Rewrite the database without traces of what was deleted.

    A server may run, but its writes wait meanwhile: about a second for 100 MB.
    """
    keep_temporary_files_in(location.path.parent)
    with explained():
        done = existing_database(location).scrub(_progress)
    click.echo(done)


@click.command()
@setting_options
def reindex(**given: Any) -> None:
    """Index again what an older release or another embedder indexed, or what has no vector yet.

    A server does so by itself; this shows the progress. A server may run: its
    searches use what is indexed so far. After an interruption, it resumes.
    """
    settings = settings_of(given)
    from service import reindexing
    from service.runtime import logs

    logs.configure(settings.log_level, settings.log_format, sys.stderr)
    json = settings.log_format == "json"
    existing_database(settings.database_location)
    with explained():
        total = reindexing.remaining(settings.database_location, settings)
        with click.progressbar(length=total, label="Indexing", file=sys.stderr, hidden=json) as bar:
            done = reindexing.run(settings.database_location, settings, bar.update)
    click.echo(f"{done} texts indexed with {settings.embedder}; all is up to date now.")


def _progress(text: str) -> None:
    click.echo(f"… {text}", err=True)
