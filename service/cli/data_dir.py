"""The database that a command works on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.core.database_location import DatabaseLocation

if TYPE_CHECKING:
    from service.storage.administration import Administration


def existing_database(location: DatabaseLocation) -> Administration:
    """A database that is there; a usage hint is the error if there is none."""
    from service.storage import opening

    path = location.path
    if location.server is None and not path.is_file():
        from service.storage.sqlite import presence

        if left := presence.traces(path):
            raise click.ClickException(str(presence.lost(path, left)))
        raise click.ClickException(
            f"there is no database in {path.parent}; "
            "name its folder with --data-dir, or make one with `palimpsest serve` or `migrate`"
        )
    return opening.administration(location)


def new_or_existing_database(location: DatabaseLocation) -> Administration:
    """A database, which is made if there is none."""
    from service.storage import opening

    location.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return opening.administration(location, create=True)


def keep_temporary_files_in(data_dir: Path) -> None:
    """Have SQLite create its temporary files, such as a scrub's copy, in the data folder.

    They are then on the same disk, and not in a folder that is shared with other users. SQLite
    reads the variable once, when it is loaded.
    """
    os.environ.setdefault("SQLITE_TMPDIR", str(data_dir.absolute()))
