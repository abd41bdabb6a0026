"""The data folder that a command works on."""

from __future__ import annotations

import os
from pathlib import Path

import click

from service.settings import database_path


def existing_database(data_dir: Path) -> Path:
    """The database in a data folder; a usage hint is the error if there is none."""
    path = database_path(data_dir)
    if not path.is_file():
        from service.storage.sqlite import presence

        if left := presence.traces(path):
            raise click.ClickException(str(presence.lost(path, left)))
        raise click.ClickException(
            f"there is no database in {data_dir}; "
            "name its folder with --data-dir, or make one with `palimpsest serve` or `migrate`"
        )
    return path


def new_or_existing_database(data_dir: Path) -> Path:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return database_path(data_dir)


def keep_temporary_files_in(data_dir: Path) -> None:
    """Have SQLite create its temporary files, such as a scrub's copy, in the data folder.

    They are then on the same disk, and not in a folder that is shared with other users. SQLite
    reads the variable once, when it is loaded.
    """
    os.environ.setdefault("SQLITE_TMPDIR", str(data_dir.absolute()))
