"""`palimpsest keys`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from service.cli.data_dir import existing_database, new_or_existing_database
from service.cli.errors import explained
from service.cli.instants import instant
from service.cli.options import CONTAINER, TENANT, Duration, Name, database_options
from service.core.database_location import DatabaseLocation

if TYPE_CHECKING:
    from service.storage.keys.operations import KeyInfo


@click.group()
def keys() -> None:
    """Create, list and revoke the keys that callers need."""


@keys.command("create")
@database_options
@click.option(
    "--tenant",
    type=Name("tenant", TENANT),
    default="default",
    show_default=True,
    help="Tenant of the key; a new name creates a new tenant.",
)
@click.option("--label", default="", help="What the key is for, shown in lists.")
@click.option(
    "--container",
    "containers",
    multiple=True,
    type=Name("container", CONTAINER),
    help="Limit it to this container; repeat for several.",
)
@click.option("--read-only", is_flag=True, help="Limit it to calls that change nothing.")
@click.option("--expires-in", type=Duration(), help="Limit it in time, such as 12h or 90d.")
@click.option("--init", is_flag=True, help="Create the database if there is none.")
def create_key(
    location: DatabaseLocation,
    tenant: str,
    label: str,
    containers: tuple[str, ...],
    read_only: bool,
    expires_in: int | None,
    init: bool,
) -> None:
    """Create a key and print it, the only time it is shown.

    It is valid at once, also for a running server.
    """
    from service.core.times import system_clock

    database = new_or_existing_database(location) if init else existing_database(location)
    with explained():
        info, secret = database.create_key(
            tenant=tenant,
            label=label,
            containers=containers,
            read_only=read_only,
            expires_at=None if expires_in is None else system_clock() + expires_in * 1_000_000,
        )
    click.echo(f"Made key {info.key_id} of tenant {info.tenant}. Keep it safe:", err=True)
    try:
        click.echo(secret)
    except OSError:
        # A key that was never shown must not stay valid.
        database.revoke_key(info.key_id)
        raise


@keys.command("list")
@database_options
def list_keys(location: DatabaseLocation) -> None:
    """List the keys without their secrets, in columns separated by tabs."""
    with explained():
        found = existing_database(location).list_keys()
    click.echo("ID\tTENANT\tACCESS\tCONTAINERS\tMADE\tSTATE\tLABEL")
    now = datetime.now(UTC)
    for info in found:
        click.echo("\t".join(_key_columns(info, now)))


def _key_columns(info: KeyInfo, now: datetime) -> tuple[str, ...]:
    return (
        info.key_id,
        info.tenant,
        "read" if info.read_only else "read+write",
        "all" if info.containers is None else ",".join(info.containers),
        instant(info.create_time),
        _state(info, now),
        info.label,
    )


def _state(info: KeyInfo, now: datetime) -> str:
    if info.revoke_time is not None:
        return f"revoked {instant(info.revoke_time)}"
    if info.expire_time is None:
        return "valid"
    past = info.expire_time <= now.timestamp() * 1_000_000
    return f"{'expired' if past else 'valid until'} {instant(info.expire_time)}"


@keys.command("revoke")
@database_options
@click.argument("key_id")
def revoke_key(location: DatabaseLocation, key_id: str) -> None:
    """Refuse a key from now on, also by a server that is running."""
    with explained():
        revoked = existing_database(location).revoke_key(key_id)
    if not revoked:
        raise click.ClickException(
            f"no key {key_id} is in force; `palimpsest keys list` shows the ids"
        )
    click.echo(f"Key {key_id} is revoked.")
