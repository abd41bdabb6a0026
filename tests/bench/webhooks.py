"""How many changes a second one webhook is sent, to a receiver that takes each at once."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

from service.core import webhooks as rules
from service.core.model import WebhookTarget
from service.settings import database_path
from service.storage.sqlite.administration import SqliteAdministration
from tests.bench import data
from tests.bench.load import Target
from tests.bench.report import Row
from tests.harness import Server
from tests.waiting import until
from tests.webhooks.receiver import Event, Receiver, Reply, receiving, status

EVENTS: Final = 3_000
TAKEN: Final = status(204)


class Webhooks:
    """Changes sent one after the other, each answered before the next.

    Args:
        server: Whose changes they are.
        service: A connection to it.
    """

    def __init__(self, server: Server, service: Target) -> None:
        self._database = database_path(server.data_dir)
        self._service = service
        self.rows = {"sent": Row("Changes sent to one webhook", unit="changes/s")}

    async def round(self) -> None:
        async with receiving() as receiver:
            target = WebhookTarget(receiver.url, rules.new_secret(), allow_private=True)
            # Of changes that are there already, so that nothing is written meanwhile.
            webhook = SqliteAdministration(self._database).add_webhook("default", target, None)
            SqliteAdministration(self._database).pause_webhook(webhook.id)
            await data.memories(self._service, EVENTS)
            taken = await self._taken(receiver, webhook.id)
            SqliteAdministration(self._database).remove_webhook(webhook.id)
        self.rows["sent"].add((EVENTS - 1) / taken, f"{EVENTS:,}, one at a time")

    async def _taken(self, receiver: Receiver, webhook: str) -> float:
        """Seconds from the first event to the last."""
        times: list[float] = []
        done = asyncio.Event()

        async def answer(_: Event) -> Reply:
            times.append(perf_counter())
            if len(times) == EVENTS:
                done.set()
            return TAKEN

        receiver.answer = answer
        SqliteAdministration(self._database).resume_webhook(webhook)
        await done.wait()
        # The server hangs up when it has noted that all are delivered.
        await until(lambda: not receiver.tasks)
        return times[-1] - times[0]
