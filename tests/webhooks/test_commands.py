"""`palimpsest webhooks`, on a database with and without a server."""

from __future__ import annotations

import asyncio
import base64
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from service import cli
from service.cli.webhooks import _state
from service.core import model as m
from service.settings import database_path
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync, transact
from tests.old_schemas import set_back
from tests.webhooks.conftest import Site
from tests.webhooks.receiver import Receiver, status

URL = "https://receiver.test/hook?token=private"


def palimpsest(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["webhooks", *arguments, "--data-dir", str(data)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database that has a tenant."""
    folder = tmp_path / "data"
    folder.mkdir()
    SqliteAdministration(database_path(folder)).create_key(
        tenant="default",
        label="",
        containers=(),
        read_only=False,
        expires_at=None,
    )
    return folder


def added(data: Path, *options: str) -> str:
    """The id of a new webhook."""
    assert palimpsest(data, "add", URL, *options).exit_code == 0
    return SqliteAdministration(database_path(data)).list_webhooks()[-1].webhook.id


def rows(data: Path) -> list[dict[str, str]]:
    head, *lines = [line.split("\t") for line in palimpsest(data, "list").stdout.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_the_secret_is_printed_once_and_kept_for_signing(data: Path) -> None:
    done = palimpsest(
        data, "add", URL, "--container", "b", "--container", "a", "--kinds",
        "memory.updated, memory.created",
    )  # fmt: skip
    [info] = SqliteAdministration(database_path(data)).list_webhooks()
    target = info.webhook.target
    assert done.stdout == "whsec_" + base64.b64encode(target.secret).decode() + "\n"
    assert f"palimpsest webhooks test {info.webhook.id}" in done.stderr
    [row] = rows(data)
    assert row.pop("MADE").endswith("Z")
    assert row == {
        "ID": info.webhook.id,
        "TENANT": "default",
        "STATE": "active",
        "POSITION": "0",
        "BEHIND": "0",
        "CONTAINERS": "a,b",
        "KINDS": "memory.created,memory.updated",
        "URL": "https://receiver.test/hook?...",
        "LAST ERROR": "-",
    }
    assert target.url == URL


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://receiver.test/"], "must be https"),
        (["https://ann:b@receiver.test/"], "no user name"),
        ([URL, "--kinds", "memory.indexed"], "'memory.indexed' is none of container.deleted"),
        ([URL, "--kinds", "memory"], "is none of"),
        ([URL, "--container", "no spaces"], "must match"),
        ([URL, "--tenant", "nobody"], "there is no tenant nobody; `palimpsest keys create`"),
        ([URL, "--after", "1"], "the last revision of tenant default is 0"),
        ([URL, *[part for n in range(101) for part in ("--container", f"c{n}")]], "at most 100"),
    ],
)
def test_what_cannot_be_added_is_told(data: Path, arguments: list[str], said: str) -> None:
    done = palimpsest(data, "add", *arguments)
    assert done.exit_code in (1, 2)
    assert said in done.stderr
    assert rows(data) == []


def test_pause_resume_and_remove(data: Path) -> None:
    webhook = added(data)
    assert "resume" in palimpsest(data, "pause", webhook).stdout
    assert [row["STATE"] for row in rows(data)] == ["paused"]
    assert "goes on after revision 0" in palimpsest(data, "resume", webhook).stdout
    assert [row["STATE"] for row in rows(data)] == ["active"]
    assert palimpsest(data, "remove", webhook).exit_code == 0
    assert rows(data) == []
    for command in ("pause", "resume", "remove", "test"):
        done = palimpsest(data, command, webhook)
        assert (done.exit_code, "palimpsest webhooks list" in done.stderr) == (1, True)


def test_a_secret_that_was_removed_leaves_the_file(data: Path) -> None:
    webhook = added(data)
    [info] = SqliteAdministration(database_path(data)).list_webhooks()
    secret = info.webhook.target.secret
    palimpsest(data, "remove", webhook)
    SqliteAdministration(database_path(data)).scrub(lambda _: None)
    for file in data.iterdir():
        assert secret not in file.read_bytes()
        assert b"token=private" not in file.read_bytes()


def test_an_older_database_gets_the_table(data: Path) -> None:
    path = database_path(data)
    with open_sync(path) as conn:
        transact(conn, lambda conn: set_back(conn, "0008"))
        assert not conn.execute(
            text("SELECT count(*) FROM sqlite_schema WHERE name = 'webhooks'")
        ).scalar_one()
    added(data)
    assert [row["STATE"] for row in rows(data)] == ["active"]
    assert SqliteAdministration(path).check(lambda _: None) == []


async def test_test_sends_one_signed_event_and_tells_what_came_back(
    data: Path, receiver: Receiver
) -> None:
    url = receiver.url
    made = await asyncio.to_thread(palimpsest, data, "add", url, "--allow-private")
    assert made.exit_code == 0
    [info] = SqliteAdministration(database_path(data)).list_webhooks()

    done = await asyncio.to_thread(palimpsest, data, "test", info.webhook.id)
    assert (done.exit_code, done.stdout) == (0, "The event was taken: answered 204.\n")
    [event] = receiver.events
    body = event.accepted(info.webhook.target.secret)
    assert (body["type"], body["data"]) == ("webhook.test", {})

    receiver.replies(status(500, body="private reasons"))
    done = await asyncio.to_thread(palimpsest, data, "test", info.webhook.id)
    assert (done.exit_code, "answered 500" in done.stderr) == (1, True)
    assert "private" not in done.output
    assert rows(data)[0]["STATE"] == "active"


async def test_a_failure_is_told_without_secrets(
    site: Site, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "service")
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    await site.remember(principal, "one")
    receiver.replies(status(500, body="private reasons"))
    await site.delivery().deliver_due()
    assert _state(site.info(webhook)).startswith("attempt 2 at 20")
    receiver.replies(status(410))
    site.clock.advance(60)
    await site.delivery().deliver_due()

    said = [record.getMessage() for record in caplog.records if "webhook" in record.getMessage()]
    parked = "answered 410: it wants nothing more; see `palimpsest webhooks list`"
    assert said == [
        f"webhook {webhook.id}: answered 500; attempt 2 follows in 5 s",
        f"webhook {webhook.id} is parked: {parked}",
    ]
    assert "private" not in caplog.text
    assert "token" not in repr(site.state(webhook))
    assert site.state(webhook).state is m.WebhookState.PARKED
