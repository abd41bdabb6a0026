"""`palimpsest webhooks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from service.cli.data_dir import existing_database
from service.cli.errors import explained
from service.cli.instants import instant
from service.cli.options import CONTAINER, TENANT, Name, database_options
from service.core.database_location import DatabaseLocation

if TYPE_CHECKING:
    from service.core.model import ChangeKind
    from service.storage.webhooks.operations import WebhookInfo
    from service.webhooks.sending import Answer

MAX_CONTAINERS = 100
"""As many as a list of changes may name."""


class Kinds(click.ParamType["frozenset[ChangeKind]"]):
    """Kinds of changes, separated by commas."""

    name = "kinds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[ChangeKind]:
        from service.core.model import INTERNAL_KINDS, ChangeKind

        if isinstance(value, frozenset):
            return value
        known = {kind.value: kind for kind in ChangeKind if kind not in INTERNAL_KINDS}
        names = [name.strip() for name in str(value).split(",")]
        for name in names:
            if name not in known:
                self.fail(f"{name!r} is none of {', '.join(sorted(known))}", param, ctx)
        return frozenset(known[name] for name in names)


@click.group()
def webhooks() -> None:
    """Send changes to other programs over HTTP, as they are made."""


@webhooks.command("add")
@database_options
@click.argument("url")
@click.option(
    "--tenant",
    type=Name("tenant", TENANT),
    default="default",
    show_default=True,
    help="Whose changes are sent.",
)
@click.option(
    "--container",
    "containers",
    multiple=True,
    type=Name("container", CONTAINER),
    help="Only changes in this container; repeat for several.",
)
@click.option("--kinds", type=Kinds(), help="Only these, such as memory.created,memory.updated.")
@click.option(
    "--allow-private",
    is_flag=True,
    help="The receiver may have an address that is not public, and may be http.",
)
@click.option(
    "--after",
    type=click.IntRange(min=0),
    help="Begin after this revision, 0 being before the first; not given: with what comes.",
)
def add_webhook(
    location: DatabaseLocation,
    url: str,
    tenant: str,
    containers: tuple[str, ...],
    kinds: frozenset[ChangeKind] | None,
    allow_private: bool,
    after: int | None,
) -> None:
    """Send changes to URL, and print the secret of their signatures, the only time it is shown.

    A server that is running begins within seconds.
    """
    from service.core import webhooks as rules
    from service.core.model import WebhookTarget
    from service.storage.webhooks.operations import PositionError, UnknownTenantError

    try:
        rules.check_url(url, allow_private=allow_private)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from error
    if len(set(containers)) > MAX_CONTAINERS:
        raise click.BadParameter(f"at most {MAX_CONTAINERS}", param_hint="--container")
    secret = rules.new_secret()
    tags = tuple(sorted(set(containers)))
    target = WebhookTarget(url, secret, tags, kinds or frozenset(), allow_private)
    database = existing_database(location)
    try:
        with explained():
            made = database.add_webhook(tenant, target, after)
    except (UnknownTenantError, PositionError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"Made webhook {made.id} of tenant {tenant}, which begins after revision {made.position}. "
        f"Try it with `palimpsest webhooks test {made.id}`. Its secret, for the receiver:",
        err=True,
    )
    try:
        click.echo(rules.secret_text(secret))
    except OSError:
        # What is signed with a secret that was never shown cannot be verified.
        database.remove_webhook(made.id)
        raise


@webhooks.command("list")
@database_options
def list_webhooks(location: DatabaseLocation) -> None:
    """List the webhooks without their secrets, in columns separated by tabs.

    BEHIND is how many of the tenant's changes are yet to be looked at.
    """
    with explained():
        found = existing_database(location).list_webhooks()
    click.echo("ID\tTENANT\tSTATE\tPOSITION\tBEHIND\tMADE\tCONTAINERS\tKINDS\tURL\tLAST ERROR")
    for info in found:
        click.echo("\t".join(_columns(info)))


def _columns(info: WebhookInfo) -> tuple[str, ...]:
    from service.core.webhooks import shown_url

    webhook = info.webhook
    return (
        webhook.id,
        info.tenant,
        _state(info),
        str(webhook.position),
        str(max(info.revision - webhook.position, 0)),
        instant(webhook.create_time),
        ",".join(webhook.target.containers) or "all",
        ",".join(sorted(webhook.target.kinds)) or "all",
        shown_url(webhook.target.url),
        webhook.last_error or "-",
    )


def _state(info: WebhookInfo) -> str:
    from service.core.model import WebhookState

    webhook = info.webhook
    if webhook.state is WebhookState.ACTIVE and webhook.failures:
        return f"attempt {webhook.failures + 1} at {instant(webhook.next_attempt)}"
    return webhook.state.value


@webhooks.command("remove")
@database_options
@click.argument("webhook_id")
def remove_webhook(location: DatabaseLocation, webhook_id: str) -> None:
    """Send nothing more, and forget the webhook and its secret."""
    with explained():
        removed = existing_database(location).remove_webhook(webhook_id)
    if not removed:
        _unknown(webhook_id)
    click.echo(f"Webhook {webhook_id} is removed.")


@webhooks.command("pause")
@database_options
@click.argument("webhook_id")
def pause_webhook(location: DatabaseLocation, webhook_id: str) -> None:
    """Send nothing until it is resumed; changes wait meanwhile."""
    with explained():
        paused = existing_database(location).pause_webhook(webhook_id)
    if not paused:
        _unknown(webhook_id)
    click.echo(
        f"Webhook {webhook_id} is paused; `palimpsest webhooks resume {webhook_id}` goes on "
        "where it is."
    )


@webhooks.command("resume")
@database_options
@click.argument("webhook_id")
def resume_webhook(location: DatabaseLocation, webhook_id: str) -> None:
    """Send again, at once: what was paused, parked, or waits for its next attempt."""
    with explained():
        positions = existing_database(location).resume_webhook(webhook_id)
    if positions is None:
        _unknown(webhook_id)
    before, now = positions
    click.echo(f"Webhook {webhook_id} goes on after revision {now}.")
    if now > before:
        click.echo(
            f"The changes after revision {before} up to there are no longer kept, and were not "
            "sent: have the receiver read what it needs.",
            err=True,
        )


@webhooks.command("test")
@database_options
@click.argument("webhook_id")
def test_webhook(location: DatabaseLocation, webhook_id: str) -> None:
    """Send an event of the type `webhook.test`, and tell what came back.

    It is signed as all are. Exit code 0 if it was taken, else 1.
    """
    import asyncio

    with explained():
        info = existing_database(location).find_webhook(webhook_id)
    if info is None:
        _unknown(webhook_id)
    answer = asyncio.run(_send_test(info))
    if not answer.delivered:
        raise click.ClickException(
            f"the event was not taken: {answer.error}. It is taken when the answer is 200 to 299"
        )
    click.echo(f"The event was taken: answered {answer.status}.")


async def _send_test(info: WebhookInfo) -> Answer:
    from service.core import webhooks as rules
    from service.core.times import system_clock
    from service.webhooks.sending import Sender

    now = system_clock()
    name = f"{info.webhook.id}_test_{now}"
    async with Sender(info.webhook.target) as sender:
        return await sender.send(name, now, rules.trial_body(now))


def _unknown(webhook_id: str) -> NoReturn:
    raise click.ClickException(
        f"there is no webhook {webhook_id}; `palimpsest webhooks list` shows the ids"
    )
