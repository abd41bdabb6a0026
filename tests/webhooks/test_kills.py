"""A server that is killed while it delivers repeats changes, and leaves out none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.core import webhooks as rules
from service.core.model import WebhookTarget
from tests.client import connected
from tests.harness import start_server
from tests.tally import Report, Tally
from tests.waiting import until
from tests.webhooks.kills import kill_rounds
from tests.webhooks.receiver import Event, Receiver, Reply, status

pytestmark = pytest.mark.processes

CHANGES = 200
KILL_AFTER = (50, 110)
"""How many have been taken when the server is killed."""


async def test_each_change_comes_at_least_once_and_in_order(
    tmp_path: Path, receiver: Receiver
) -> None:
    data = tmp_path / "data"
    options = ("--lease", "1", "--workers", "0", "--compute-processes", "0")
    server = await asyncio.to_thread(start_server, data, *options)
    target = WebhookTarget(receiver.url, rules.new_secret(), allow_private=True)
    taken: list[int] = []
    goals = list(KILL_AFTER)

    async def answer(event: Event) -> Reply:
        taken.append(event.change(target.secret).revision)
        if goals and len(taken) >= goals[0]:
            goals.pop(0)
            server.process.kill()
            return None
        return status(200)

    receiver.answer = answer
    try:
        async with connected(server.address, server.key) as client:
            for n in range(CHANGES):
                await client.remember(f"memory {n}")
        administration = server.backend.administration
        administration.add_webhook("default", target, 0)
        for _ in KILL_AFTER:
            await asyncio.to_thread(server.process.wait)
            server = await asyncio.to_thread(start_server, data, *options)
        await until(lambda: taken[-1] == CHANGES)
        found = administration.list_webhooks
        await until(lambda: found()[0].webhook.position == CHANGES)
    finally:
        if server.process.poll() is None:
            await asyncio.to_thread(server.stop)

    assert goals == []
    assert list(dict.fromkeys(taken)) == list(range(1, CHANGES + 1))
    assert len(taken) > CHANGES


async def test_what_is_written_meanwhile_comes_too(tmp_path: Path, report: Report) -> None:
    tally = Tally("kills of a server that delivers to webhooks")
    report(tally)
    await kill_rounds(tmp_path / "data", 3, seed=7, tally=tally, failing=0.0)
    assert tally.findings == []
    assert tally.faults == 3
    assert tally.operations > 0
